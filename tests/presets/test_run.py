"""Every preset as it is, on random models of its own classes in the hub's cache: by one command, and by the pipeline.

Small photos, as random masks are dear: all of SAM's 1,024 points give three.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refdiff.presets.table import PRESETS
from tests.hub_models import fill_hub
from tests.pipeline.project import COPIED, SOURCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
METHODS = ("ref-diff", "gs", "ds", "ref-diff-plus", "released")
SENTENCES = ("the dog on the left", "a red car")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    fill_hub(root / "cache", root / "scratch")
    return root / "cache"


def _run(folder: Path, hub: Path, *command: object) -> str:
    environment = {**os.environ, "HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(SOURCE)}
    words = [sys.executable, "-m", *map(str, command)]
    result = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{words}\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    return result.stdout


def _write_photo(path: Path, seed: int) -> None:
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(blocks).resize((64, 48), Image.Resampling.BICUBIC).save(path)


@pytest.mark.parametrize("preset", PRESETS)
def test_one_photo_by_one_word(preset: str, hub: Path, tmp_path: Path) -> None:
    _write_photo(tmp_path / "photo.png", 0)
    words = ("segment", "photo.png", *SENTENCES, "--preset", preset, "-o", "out.png", "--json")
    made = json.loads(_run(tmp_path, hub, "refdiff.cli", *words))
    assert made["method"] == PRESETS[preset].method
    assert [each["sentence"] for each in made["sentences"]] == list(SENTENCES)
    if preset != "demo":  # whose source finds no shapes here
        assert all(each["chosen"] is not None and np.isfinite(each["scores"]["total"]) for each in made["sentences"])


def test_three_photos_through_the_pipeline(hub: Path, tmp_path: Path) -> None:
    """A fresh copy of the repository, one `refdiff init`, no line edited by hand."""
    for name in COPIED:
        if (SOURCE / name).is_dir():
            shutil.copytree(SOURCE / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, tmp_path / name)
    lines = []
    for number in range(3):
        _write_photo(tmp_path / f"data/own/{number}.png", number)
        mask = [[8, 8, 40, 8, 40, 40, 8, 40]]
        lines += [{"image": f"{number}.png", "sentence": sentence, "mask": mask} for sentence in SENTENCES]
    (tmp_path / "data/own/val.jsonl").write_text("\n".join(map(json.dumps, lines)))
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    _run(tmp_path, hub, "refdiff.cli", "init", "--preset", "light", "--dataset", "jsonl")
    assert "all is there" in _run(tmp_path, hub, "refdiff.cli", "doctor")
    _run(tmp_path, hub, "dvc", "repro")
    for method in METHODS:
        metrics = json.loads((tmp_path / f"reports/own_val/{method}/metrics.json").read_text())
        assert metrics["n_evaluated"] == len(lines)
    assert (tmp_path / "report.html").is_file()
