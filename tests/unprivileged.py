"""Processes that permissions bind, as they do not bind root's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_BOUND = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


def run_bound(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run this Python in a folder with these arguments; the test is skipped where root cannot be bound."""
    prefix = _BOUND if os.geteuid() == 0 else []
    if prefix and not shutil.which(prefix[0]):
        pytest.skip("permissions do not bind root, and there is no setpriv")
    if prefix and subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("permissions do not bind root, and setpriv is not permitted here")
    return subprocess.run(
        [*prefix, sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, links followed."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
