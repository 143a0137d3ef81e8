import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from refdiff.dataset.tables import read_dataset
from refdiff.errors import StoreMismatchError
from refdiff.evaluation.evaluate import CURVE_THRESHOLDS, Evaluation, evaluate
from refdiff.evaluation.files import read_curves
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.evaluation.table import read_results
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.predictions import PredictionTable
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings
from refdiff.masks.overlap import read_overlap
from refdiff.params import parse_section, read_section
from refdiff.proposals.tables import read_proposals
from tests.fusion.rows import ARGMAX, PAPER, make_method
from tests.fusion.small_split import IMAGE_OF, TARGET_OF, SmallSplit, make_split
from tests.heat.test_heat_map import PAPER as PAPER_READOUT
from tests.whole_params import whole_params

PROJECT = Path(__file__).parents[2]
SETTINGS = {"unit": "expression", "comparison": ">=", "precision_at": [0.5, 0.9], "histogram_bins": 4}
COUNTED = [index for index, target in enumerate(TARGET_OF) if target >= 0]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    return make_split(tmp_path_factory.mktemp("split"), PAPER_READOUT, (0.2, 0.5, 0.8))


def _evaluate(split: SmallSplit, changes: dict[str, Any], **settings: object) -> tuple[PredictionTable, Evaluation]:
    method = make_method(PAPER, **changes)
    fusing = FuseScoresSettings(pool_masks=True)
    inputs = open_inputs(split.layout, method, PAPER_READOUT, fusing)
    table = fuse_split(inputs, method, PAPER_READOUT, lambda steps, _: steps)
    result = evaluate(
        table,
        read_dataset(split.layout.dataset),
        read_proposals(split.layout.proposals(method.proposals)),
        read_overlap(split.layout.overlap(method.proposals)),
        method=method,
        settings=parse_section(EvaluateMasksSettings, {**SETTINGS, **settings}, "evaluate_masks"),
    )
    return table, result


def _iou(split: SmallSplit, index: int, mask: np.ndarray) -> float:
    truth = split.truths[TARGET_OF[index]]
    union = (mask | truth).sum()
    return (mask & truth).sum() / union if union else 1.0


def test_figures_are_those_of_the_pixels(split: SmallSplit) -> None:
    table, result = _evaluate(split, {})
    own, mean, best = [], [], []
    for index in COUNTED:
        masks = split.masks[IMAGE_OF[index]]
        each = [_iou(split, index, mask) for mask in masks]
        row = table.proposal_index[index] - (0, 5, 9)[IMAGE_OF[index]]
        nothing = _iou(split, index, np.zeros_like(split.truths[TARGET_OF[index]]))
        own.append(each[row] if table.proposal_index[index] >= 0 else nothing)
        mean.append(np.mean(each) if each else nothing)
        best.append(max(each) if each else nothing)
    metrics = result.metrics
    assert metrics["mIoU"] == pytest.approx(np.mean(own))
    assert metrics["chance"]["mIoU"] == pytest.approx(np.mean(mean))
    assert metrics["oracle"]["mIoU"] == pytest.approx(np.mean(best))
    with_target = np.array([split.truths[TARGET_OF[index]].any() for index in COUNTED])
    assert metrics["Pr@0.5"] == pytest.approx(np.mean(np.array(own)[with_target] >= 0.5))
    assert metrics["oIoU"] == pytest.approx(table.intersection[COUNTED].sum() / table.union[COUNTED].sum())
    assert best[0] == 1.0  # the truth of the first expression is among its proposals


def test_nothing_is_lost_and_conventions_are_named(split: SmallSplit) -> None:
    result = _evaluate(split, {})[1]
    metrics, details = result.metrics, result.details
    counts = {name: value for name, value in {**details, **metrics}.items() if name.startswith("n_")}
    assert counts == {
        "n_expressions": 6,
        "n_evaluated": 5,
        "n_objects": 5,
        "n_without_truth": 1,
        "n_no_target": 1,
        "n_no_candidate": 1,
        "n_dropped": 1,
    }
    assert (metrics["N-acc"], metrics["T-acc"]) == (0.0, 3 / 4)
    assert details["selection_rule"] == "argmax of the score"
    assert "whose IoU is >= X; no-target sentences are left out" in details["conventions"]["Pr@X"]
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_metrics_hold_figures_and_nothing_else(split: SmallSplit) -> None:
    metrics = _evaluate(split, {})[1].metrics
    flat = [value for each in metrics.values() for value in (each.values() if isinstance(each, dict) else [each])]
    assert all(isinstance(value, int | float) for value in flat)
    assert len(flat) == 9


def test_a_filter_that_drops_everything_predicts_nothing(split: SmallSplit) -> None:
    table, result = _evaluate(split, {"min_area_px": 10_000})
    assert (table.proposal_index == -1).all()
    assert (result.metrics["N-acc"], result.metrics["T-acc"]) == (1.0, 0.0)
    for figures in (result.metrics, *result.details["bounds"].values()):
        assert figures["mIoU"] == pytest.approx(1 / 5)
        assert figures["oIoU"] == figures["Pr@0.5"] == 0.0


@pytest.mark.parametrize("keep", [1, 2, None])
def test_chance_and_oracle_see_what_the_method_sees(split: SmallSplit, keep: int | None) -> None:
    result = _evaluate(split, {"keep_largest": keep})[1]
    metrics, bounds = result.metrics, result.details["bounds"]
    assert {name: bounds[name]["mIoU"] for name in bounds} == {name: metrics[name]["mIoU"] for name in bounds}
    assert metrics["chance"]["mIoU"] <= metrics["oracle"]["mIoU"] + 1e-12
    assert metrics["mIoU"] <= metrics["oracle"]["mIoU"] + 1e-12
    if keep == 1:
        assert bounds["chance"] == pytest.approx(bounds["oracle"])
        assert metrics["mIoU"] == pytest.approx(metrics["oracle"]["mIoU"])


def test_masks_of_expressions_are_bounded_by_their_own(split: SmallSplit) -> None:
    changes = {
        "proposals": "weak",
        "discriminative_weight": 0.0,
        "select": {**ARGMAX, "rule": "otsu"},
    }
    table, result = _evaluate(split, changes)
    metrics = result.metrics
    assert "Otsu" in result.details["selection_rule"]
    assert metrics["chance"]["mIoU"] <= metrics["oracle"]["mIoU"]
    assert metrics["mIoU"] <= metrics["oracle"]["mIoU"]
    assert result.details["mean_candidates"] == pytest.approx(table.n_proposals.mean())


def test_the_unit_may_be_the_object(split: SmallSplit) -> None:
    # Expressions 1 and 2 are of one object; only the first has truth, so nothing changes but the convention.
    one, other = (_evaluate(split, {}, unit=unit)[1] for unit in ("expression", "object"))
    assert other.metrics["mIoU"] == pytest.approx(one.metrics["mIoU"])
    assert one.details["conventions"]["unit"].startswith("expression")
    assert other.details["conventions"]["unit"].startswith("object")


def test_curves(split: SmallSplit) -> None:
    _, result = _evaluate(split, {})
    assert [point["threshold"] for point in result.curves] == list(CURVE_THRESHOLDS)
    assert len(CURVE_THRESHOLDS) == 101
    for name in ("precision", "chance", "oracle"):
        values = [value for point in result.curves if (value := point[name]) is not None]
        assert len(values) == 101
        assert values[0] == 1.0
        assert all(later <= earlier + 1e-12 for earlier, later in pairwise(values))
    assert result.curves[50]["precision"] == result.metrics["Pr@0.5"]
    assert sum(result.details["iou_histogram"]["counts"]) == 5
    assert result.details["iou_histogram"]["edges"] == [0, 0.25, 0.5, 0.75, 1]


def test_predictions_of_another_dataset_are_refused(split: SmallSplit) -> None:
    table, _ = _evaluate(split, {})
    other = read_dataset(split.layout.dataset)
    other.expressions.expression_id[0] = "another"
    with pytest.raises(StoreMismatchError, match="expected the 6 expressions of the dataset"):
        evaluate(
            table,
            other,
            read_proposals(split.layout.proposals("regions")),
            read_overlap(split.layout.overlap("regions")),
            method=make_method(PAPER),
            settings=parse_section(EvaluateMasksSettings, SETTINGS, "evaluate_masks"),
        )


def test_the_shipped_section_is_valid() -> None:
    settings = read_section(EvaluateMasksSettings, "evaluate_masks")
    assert settings.precision_at == (0.5, 0.6, 0.7, 0.8, 0.9)


def _run(folder: Path, stage: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def project(split: SmallSplit) -> Path:
    """The split's folder with a parameter file, as the stages see it."""
    select = {**ARGMAX, "rule": "area", "area_power": 0.5}
    weak = {
        **PAPER,
        "proposals": "weak",
        "generative_weight": 1.0,
        "discriminative_weight": 0.0,
        "select": select,
    }
    params = {
        "splits": {"val": {}},
        "readouts": {"paper": PAPER_READOUT.model_dump(mode="json")},
        "methods": {"both": PAPER, "weak": weak},
        "fuse_scores": {"pool_masks": True},
        "evaluate_masks": SETTINGS,
    }
    (split.layout.root / "params.yaml").write_text(yaml.safe_dump(whole_params(params)), encoding="utf-8")
    return split.layout.root


def test_the_stages_write_what_the_functions_say(project: Path, split: SmallSplit) -> None:
    for method in ("both", "weak"):
        for stage in ("fuse_scores", "evaluate_masks"):
            done = _run(project, stage, "val", method)
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("\n") == 1
    results = read_results(["val"], ["both", "weak"], project)
    expected = _evaluate(split, {})[1].metrics
    assert {name: results["val"]["both"][name] for name in expected} == expected
    assert results["val"]["weak"]["provenance"]["parameters"]["method"]["proposals"] == "weak"
    assert len(read_curves(split.layout.curves("both"))["precision"]["oracle"]) == 101


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("test", "both"), "splits: no entry 'test'; expected one of: val"),
        (("val", "mine"), "methods: no entry 'mine'; expected one of: both, weak"),
    ],
)
def test_unknown_names_are_refused_in_one_line(project: Path, arguments: tuple[str, str], message: str) -> None:
    done = _run(project, "fuse_scores", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_predictions_of_another_row_are_refused(project: Path) -> None:
    assert _run(project, "fuse_scores", "val", "both").returncode == 0
    file = project / "params.yaml"
    before = file.read_text(encoding="utf-8")
    params = yaml.safe_load(before)
    params["methods"]["both"]["keep_largest"] = 2
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    done = _run(project, "evaluate_masks", "val", "both")
    file.write_text(before, encoding="utf-8")
    assert done.returncode == 2
    assert "made with other parameters" in done.stderr
