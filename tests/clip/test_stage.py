"""The stage as a person runs it: in its own process, from a project folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refdiff.clip.settings import ClipSettings
from refdiff.clip.store import ClipStore
from tests.clip.small_model import clip_settings
from tests.clip.small_split import SOURCE, make_split, write_params

ROOT = Path(__file__).parents[2]


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.embed_clip", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def settings(small_clip: Path) -> ClipSettings:
    return clip_settings(small_clip)


def test_the_stage_makes_the_store_and_says_so(tmp_path: Path, settings: ClipSettings) -> None:
    layout = make_split(tmp_path / "project")
    write_params(layout.root, settings)
    result = _run(layout.root, "toy", SOURCE)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == (
        "artifacts/toy/clip/boxes.zarr: 7 texts, 24 local views (none, released_left, released_right) and 29 global "
        "views (none, paper_left, paper_right, paper_top) of 12 masks; 3 photos, 2 of them computed now"
    )
    assert "embed_clip toy boxes" in result.stderr
    assert ClipStore.open(layout.clip(SOURCE)).local(1, "none").shape == (7, 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch", SOURCE), "splits: no entry 'nosuch'; expected one of: toy, twin"),
        (("toy", "nosuch"), "sources: no entry 'nosuch'; expected one of: boxes"),
    ],
)
def test_unknown_names_end_with_one_line(
    tmp_path: Path, settings: ClipSettings, arguments: tuple[str, str], message: str
) -> None:
    write_params(tmp_path, settings)
    result = _run(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {message}")
    assert "Traceback" not in result.stderr


def test_the_reading_side_needs_no_torch() -> None:
    script = (
        "import sys\n"
        "import refdiff.clip.store, refdiff.clip.ramps, refdiff.clip.settings\n"
        "print(sorted({'torch', 'open_clip', 'pandas'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
