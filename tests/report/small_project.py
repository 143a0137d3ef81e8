"""A project with every artifact that the report reads, made by the real writers and stages' functions."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from refdiff.dataset.tables import read_dataset, write_dataset
from refdiff.evaluation.evaluate import evaluate
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.predictions import write_predictions
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings
from refdiff.store.fingerprint import digest_file
from tests.fusion.rows import PAPER, make_method
from tests.fusion.small_split import make_split
from tests.heat.test_heat_map import PAPER as PAPER_READOUT
from tests.whole_params import whole_params

HOSTILE = (
    'the <script>alert("1")</script> & "quoted" \'thing\'',
    "the </style><img src=x onerror=alert(1)> thing",
    "the שלום עולם, the thing at the right",
    "the 🐶👩‍👩‍👧 thing {{ 7 * 7 }} {% raw %}",
    "the " + "very " * 120 + "long thing",
    "the thing\u202ereversed",
)
METHODS: dict[str, dict[str, Any]] = {
    "ref-diff": {
        **PAPER,
        "proposals": "weak",
        "generative_weight": 1.0,
        "discriminative_weight": 0.0,
        "select": {"rule": "area", "threshold": None, "area_power": 0.5},
    },
    "ds": {**PAPER, "readout": None, "generative_weight": 0.0, "discriminative_weight": 1.0},
    "both": PAPER,
}
REPORT: dict[str, Any] = {
    "gallery": {"best": 2, "worst": 1, "random": 3},
    "ranked_by": None,
    "seed": 0,
    "thumbnail_px": 96,
    "image_format": "webp",
    "image_quality": 70,
}


def make_params(**split: object) -> dict[str, Any]:
    """params.yaml of the project; `split` goes over the split's row."""
    row = {"format": "refer", "folder": "data", "images": "data", "split_by": "x", "split": "val", "benchmark": None}
    readout = PAPER_READOUT.model_dump(mode="json")
    return whole_params(
        {
            "splits": {"val": {**row, **split}},
            "methods": METHODS,
            "readouts": {"paper": readout},
            "render_report": REPORT,
        }
    )


def write_params(root: Path, params: dict[str, Any]) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), encoding="utf-8")


def make_project(root: Path, sentences: Sequence[str] = HOSTILE) -> Path:
    """Photos, all artifacts of split `val` and its params.yaml, below `root`."""
    layout = make_split(root, PAPER_READOUT, (0.2, 0.4, 0.6, 0.8)).layout
    dataset = read_dataset(layout.dataset)
    rng = np.random.default_rng(1)
    for path, *size in zip(dataset.images.path, dataset.images.height, dataset.images.width, strict=True):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / path)
    counts = {"images": 3, "targets": 5, "no_targets": 1, "expressions": 6}
    write_dataset(
        layout.dataset,
        replace(
            dataset,
            images=replace(dataset.images, sha256=[digest_file(root / path) for path in dataset.images.path]),
            expressions=replace(dataset.expressions, sentence=list(sentences)),
            meta={
                **dataset.meta,
                "counts": counts,
                "dropped_counts": {"expressions": 2},
                "dropped": ["photo9.png: <b>missing</b>; expected a photo"],
            },
        ),
    )
    for name, row in METHODS.items():
        _run_method(layout, name, row)
    write_params(root, make_params())
    return root


def _run_method(layout: Any, name: str, row: dict[str, Any]) -> None:
    method = make_method(row)
    readout = PAPER_READOUT if method.uses_heat else None
    fusing = FuseScoresSettings(pool_masks=True)
    inputs = open_inputs(layout, method, readout, fusing)
    table = fuse_split(inputs, method, readout, _silently)
    write_predictions(layout.predictions(name), table, {"parameters": {"method": row}})
    settings = EvaluateMasksSettings(
        unit="expression", comparison=">=", precision_at=(0.5, 0.6, 0.7, 0.8, 0.9), histogram_bins=4
    )
    result = evaluate(table, inputs.dataset, inputs.proposals, inputs.overlap, method=method, settings=settings)
    written = {"metrics": result.metrics, "details": result.details, "curves": result.curves}
    for file, content in written.items():
        path = getattr(layout, file)(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")


def _silently(steps: Iterable[Any], total: int) -> Iterable[Any]:
    return steps
