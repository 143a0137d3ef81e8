"""The benchmarks of scoring and of the store run, in their smallest form and without a word about time."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


ROWS = {
    "score": ("pool_masks", "fuse_scores ref-diff-plus", "fuse_scores released", "sweep released, 5 weightings"),
    "store": ("1 x 1, null", "16 x 16, null"),
}


@pytest.mark.parametrize("name", sorted(ROWS))
def test_it_runs(name: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{name}", "--smallest"]
    if name == "score":
        command += ["--weightings", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for row in ROWS[name]:
        assert row in done.stdout
