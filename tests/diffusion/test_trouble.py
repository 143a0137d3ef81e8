"""Trouble in the middle of a run, with real workers: one clear line, the others finish or stop, and the run goes on."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refdiff.errors import ShardsFailedError
from refdiff.layout import SplitLayout
from tests.diffusion.test_engines import SHARDS, content, extract, make_engine
from tests.diffusion.test_extraction import TOKENS, write_inputs

pytestmark = pytest.mark.slow
KINDS = ["processes", "dask"]
PROJECT = Path(__file__).parents[2]

# A file limit stands for a full disk: the kernel refuses the write in the worker that makes it.
LIMITED = """
import sys
from pathlib import Path
from refdiff.command import run_command
from refdiff.layout import SplitLayout
from tests.diffusion.test_engines import extract, make_engine
if __name__ == "__main__":
    run_command(lambda: extract(SplitLayout("tiny", Path(sys.argv[1])), make_engine(sys.argv[2], 2)))
"""


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SplitLayout:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytest.importorskip("distributed")
    return write_inputs(tmp_path / "project", TOKENS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_that_vanishes_is_named_and_the_others_finish(layout: SplitLayout, kind: Any) -> None:
    photo = layout.root / "1.png"
    photo.rename(photo.with_suffix(".away"))
    with pytest.raises(ShardsFailedError, match=r"2 of 5 shards .*\n.*images b.*1\.png: image is not there"):
        extract(layout, make_engine(kind, 2))
    photo.with_suffix(".away").rename(photo)
    assert extract(layout, make_engine("serial", 1)).computed == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_the_kernel_refuses_is_one_line(layout: SplitLayout, tmp_path: Path, kind: str) -> None:
    script = tmp_path / "limited.py"
    script.write_text(LIMITED)
    largest = 2_800  # bytes: the shard of the longest sentence has more, and nothing else that this run writes

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    done = subprocess.run(
        [sys.executable, str(script), str(layout.root), kind],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=limit,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, done.stderr
    assert "cannot be written (File too large); finished shards are kept" in errors[0]
    assert not layout.attention("paper").exists()
    finished = len(list(layout.root.glob(".work/extract_attention/*/done/*.json")))
    made = extract(layout, make_engine("serial", 1))
    assert made.computed == SHARDS - finished > 0
    whole = write_inputs(tmp_path / "whole", TOKENS)
    assert content(made.path) == content(extract(whole, make_engine("serial", 1)).path)
