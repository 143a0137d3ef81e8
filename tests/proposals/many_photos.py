"""A project of numbered photos, of which splits have some; enough of them that a run can be interrupted."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.layout import SplitLayout
from refdiff.store.fingerprint import digest_file
from tests.proposals.rows import ENGINE, FILTERS, REGIONS
from tests.whole_params import whole_params

ROOT = Path(__file__).parents[2]
SIDE = 96


def make_photos(root: Path, numbers: Sequence[int]) -> None:
    """Photo i shows boxes on noise, and is the same in every project."""
    (root / "photos").mkdir(parents=True, exist_ok=True)
    for number in numbers:
        rng = np.random.default_rng(number)
        rgb = rng.integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8)
        for _ in range(3):
            top, left = rng.integers(0, SIDE - 40, 2)
            rgb[top : top + 30, left : left + 30] = rng.integers(0, 256, 3)
        Image.fromarray(rgb).save(root / "photos" / f"{number}.png")


def make_split(root: Path, split: str, numbers: Sequence[int]) -> SplitLayout:
    """The dataset tables of a split of these photos, without sentences."""
    none, sides = np.zeros(0, np.int32), np.full(len(numbers), SIDE, np.int32)
    paths = [f"photos/{n}.png" for n in numbers]
    digests = [digest_file(root / path) for path in paths]
    images = Images([str(n) for n in numbers], paths, sides, sides, digests)
    targets = Targets([], none, [], none.astype(np.int64), none)
    layout = SplitLayout(split, root)
    expressions = Expressions([], [], none, [], [], none)
    write_dataset(layout.dataset, Dataset(images, expressions, targets, {"split": split, "provenance": {}}))
    return layout


def write_params(root: Path, splits: Sequence[str], kind: str = "serial", **changes: Any) -> None:
    params = {
        "splits": {split: {} for split in splits},
        "sources": {"regions": {**REGIONS, **changes}},
        "engine": {**ENGINE, "kind": kind, "workers": 2},
        "propose_masks": {"device": "cpu", "workers": 1, "filters": FILTERS},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(whole_params(params)), encoding="utf-8")


def start_stage(root: Path, split: str, *options: str) -> "subprocess.Popen[str]":
    """propose_masks in a session of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages.propose_masks", split, "regions", *options],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def worker_pids(root: Path) -> list[int]:
    """Processes that began a batch, by the engine's notes."""
    notes = [json.loads(note.read_text()) for note in sorted(root.glob(".work/*/*/queue/*.json"))]
    return [int(note["worker"].split()[1]) for note in notes]
