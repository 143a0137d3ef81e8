"""Stage evaluate_masks: metrics and curves of one method on one split."""

import json
from pathlib import Path
from typing import Any

from refdiff.checking.start import start_stage
from refdiff.command import run_command
from refdiff.dataset.tables import read_dataset
from refdiff.errors import StoreMismatchError
from refdiff.evaluation.evaluate import evaluate
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.predictions import read_predictions
from refdiff.fusion.settings import MethodSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import read_overlap
from refdiff.params import find, parse_section
from refdiff.parquet import read_provenance
from refdiff.proposals.tables import read_proposals
from refdiff.provenance import describe_run
from refdiff.whole_file import write_whole


def main() -> None:
    """Run the stage as its arguments say."""
    arguments, params = start_stage("evaluate_masks", __doc__, ("splits", "methods"))
    method = parse_section(MethodSettings, find(params, where := f"methods.{arguments.method}"), where)
    settings = parse_section(EvaluateMasksSettings, params["evaluate_masks"], "evaluate_masks")
    layout = SplitLayout(arguments.split)
    files = {
        "predictions": layout.predictions(arguments.method),
        "proposals": layout.proposals(method.proposals),
        "overlap": layout.overlap(method.proposals),
    }
    parameters = {
        "method": method.model_dump(mode="json"),
        "evaluate_masks": settings.model_dump(mode="json"),
    }
    provenance = describe_run("evaluate_masks", parameters, files)
    _check_origin(files["predictions"], parameters["method"])
    result = evaluate(
        read_predictions(files["predictions"]),
        read_dataset(layout.dataset),
        read_proposals(files["proposals"]),
        read_overlap(files["overlap"]),
        method=method,
        settings=settings,
    )
    path = layout.metrics(arguments.method)
    names = {"split": arguments.split, "method": arguments.method}
    _write_json(path, result.metrics)
    _write_json(layout.details(arguments.method), {**names, **result.details, "provenance": provenance})
    _write_json(layout.curves(arguments.method), result.curves)
    print(f"{path}: metrics of {result.metrics['n_evaluated']} expressions")


def _check_origin(predictions: Path, method: dict[str, Any]) -> None:
    """Refuse predictions of another method row: the candidates of chance and oracle would be others."""
    parameters = read_provenance(predictions).get("parameters")
    if not isinstance(parameters, dict) or parameters.get("method") != method:
        raise StoreMismatchError(
            f"{predictions}: made with other parameters than params.yaml's row of the method; run `dvc repro`"
        )


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, f"{json.dumps(content, indent=2, allow_nan=False)}\n".encode())


if __name__ == "__main__":
    run_command(main)
