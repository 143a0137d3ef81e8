"""The three stages as a person runs them: in their own processes, from a project folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import read_overlap
from refdiff.masks.rle import encode_mask
from refdiff.params import parse_section
from refdiff.parquet import read_provenance
from refdiff.proposals.tables import read_proposals
from tests.fusion.small_split import make_split as make_heat_split
from tests.proposals.rows import ENGINE, FILTERS, READOUT, REGIONS, THRESHOLD, boxes, make_split
from tests.whole_params import whole_params

ROOT = Path(__file__).parents[2]
THRESHOLDS = (0.3, 0.6, 0.9)


def _run(folder: Path, stage: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def _write_params(folder: Path, **changes: Any) -> None:
    params = {
        "splits": {"toy": {}, "val": {}},
        "sources": {"regions": REGIONS, "mine": {"kind": "file", "path": "{split}.json"}, "oracle": {"kind": "truth"}},
        "heat_sources": {"weak": {**THRESHOLD, "thresholds": list(THRESHOLDS)}},
        "readouts": {"paper": READOUT},
        "engine": ENGINE,
        "propose_masks": {"device": "cpu", "workers": 1, "filters": FILTERS},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(whole_params({**params, **changes})), encoding="utf-8")


@pytest.fixture
def layout(tmp_path: Path) -> SplitLayout:
    root = tmp_path / "project"
    layout, _, _ = make_split(root)
    _write_params(root)
    code = {"size": [64, 40], "counts": encode_mask(boxes(64, 40, (0, 0, 9, 9))[0]).decode("ascii")}
    (root / "toy.json").write_text(json.dumps([{"image_id": 8, "segmentation": code, "score": 0.5}]), encoding="utf-8")
    (root / "val.json").write_text("[]", encoding="utf-8")
    return layout


def test_masks_of_photos_and_their_overlap(layout: SplitLayout) -> None:
    said = []
    for source in ("regions", "mine", "oracle"):
        result = _run(layout.root, "propose_masks", "toy", source)
        assert result.returncode == 0, result.stderr
        said.append(result.stdout.strip())
        assert f"propose_masks toy {source}" in result.stderr
        warning = "mine.parquet: 2 of 3 photos have no mask, .*: sources.mine found none in 2, and .* left none in 0;"
        assert bool(re.search(f"warning: .*{warning}", result.stderr)) == (source == "mine")
    assert said == [
        "artifacts/toy/proposals/regions.parquet: 3 masks of 3 photos, 1 photos without any; 3 computed now",
        "artifacts/toy/proposals/mine.parquet: 1 masks of 3 photos, 2 photos without any; 3 computed now",
        "artifacts/toy/proposals/oracle.parquet: 3 masks of 3 photos, 1 photos without any; 3 computed now",
    ]
    provenance = read_provenance(layout.proposals("regions"))
    assert provenance["stage"] == "propose_masks"
    assert provenance["parameters"]["source"]["min_contrast"] == 20.0
    assert set(provenance["inputs"]) == {"images", "targets"}
    assert "scikit-image" in provenance["made_by"]

    _write_params(layout.root, heat_sources={})
    result = _run(layout.root, "measure_overlap", "toy")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "artifacts/toy/overlap: 11 pairs of 3 sources (mine, oracle, regions)"
    oracle = read_overlap(layout.overlap("oracle"))
    rows = read_proposals(layout.proposals("oracle")).rows_of_image(0)
    assert np.array_equal(*oracle.lookup(0, range(rows.start, rows.start + 1)))
    shared, joint = read_overlap(layout.overlap("regions")).lookup(2, range(2, 3))
    assert shared[0] / joint[0] > 0.9


def test_masks_of_expressions_and_their_overlap(tmp_path: Path) -> None:
    split = make_heat_split(tmp_path, parse_section(ReadoutSettings, READOUT, "readout"), THRESHOLDS)
    _write_params(tmp_path, sources={})
    expected = read_proposals(split.layout.proposals("weak"))
    overlap = read_overlap(split.layout.overlap("weak"))
    split.layout.proposals("weak").unlink()
    result = _run(tmp_path, "propose_heat_masks", "val", "weak")
    assert result.returncode == 0, result.stderr
    table = read_proposals(split.layout.proposals("weak"))
    assert table.per_expression
    assert table.counts == expected.counts
    assert table.threshold.tolist() == expected.threshold.tolist()
    assert table.expression_index.tolist() == expected.expression_index.tolist()
    assert read_provenance(split.layout.proposals("weak"))["parameters"]["readout"] == READOUT
    result = _run(tmp_path, "measure_overlap", "val")
    assert result.returncode == 0, result.stderr
    assert read_overlap(split.layout.overlap("weak")).intersection.tolist() == overlap.intersection.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("propose_masks", "nosuch", "regions"), "splits: no entry 'nosuch'; expected one of: toy, val"),
        (("propose_masks", "toy", "nosuch"), "sources: no entry 'nosuch'; expected one of: mine, oracle, regions"),
        (("propose_heat_masks", "toy", "nosuch"), "heat_sources: no entry 'nosuch'; expected one of: weak"),
        (("propose_heat_masks", "toy", "weak"), "artifacts/toy/attention/paper.zarr: not there; run `dvc repro`"),
        (("measure_overlap", "nosuch"), "splits: no entry 'nosuch'"),
        (("measure_overlap", "toy"), "artifacts/toy/proposals/mine.parquet: not there; run `dvc repro`"),
    ],
)
def test_what_is_not_there_ends_with_one_line(layout: SplitLayout, arguments: tuple[str, ...], message: str) -> None:
    result = _run(layout.root, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {message}")
    assert "Traceback" not in result.stderr


def test_a_photo_that_vanished_is_named(layout: SplitLayout) -> None:
    (layout.root / "photos" / "1.png").unlink()
    _write_params(layout.root, propose_masks={"device": "cpu", "workers": 2, "filters": FILTERS})
    result = _run(layout.root, "propose_masks", "toy", "regions")
    assert result.returncode == 2
    assert "photos/1.png (image 8): image is not there" in result.stderr
    assert "Traceback" not in result.stderr


def test_tables_and_overlap_need_no_model_library() -> None:
    script = (
        "import sys\n"
        "import refdiff.proposals.tables, refdiff.masks.overlap, refdiff.proposals.settings, stages.measure_overlap\n"
        "print(sorted({'torch', 'transformers', 'pandas', 'skimage', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
