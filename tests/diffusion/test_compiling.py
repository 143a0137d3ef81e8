"""`compile: true`: the same maps, and one line where there is no compiler."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.errors import ModelError
from tests.diffusion.rows import PAPER, make_capture, make_photo, make_section

ROOT = Path(__file__).parents[2]
SENTENCES = ["the cat on the left", "spoon", "left eye of the cat", "cup of coffee", "a red dog"]
TRY_TO_COMPILE = """
from refdiff.command import run_command
from refdiff.diffusion.extractor import AttentionExtractor
from tests.diffusion.rows import make_section

run_command(lambda: AttentionExtractor(make_section(compile=True)))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_parts_give_the_same_maps(extractor: AttentionExtractor, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    capture = make_capture(PAPER, cross_layers={"map_px": [4, 8]})
    queries = [extractor.make_query(make_photo(0, 64, 64), "a", SENTENCES, capture, False)]
    compiled = AttentionExtractor(make_section(compile=True, batch_sentences=3))  # batches of three and of two
    before = len(list(tmp_path.rglob("*.so")))
    (expected,), (got,) = (each.capture_photos(queries, capture) for each in (extractor, compiled))
    assert len(list(tmp_path.rglob("*.so"))) > before  # compiled in the first pass
    for mine, other in zip(got.cross, expected.cross, strict=True):
        for size, block in other.maps.items():
            np.testing.assert_allclose(mine.maps[size], block, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_without_a_compiler_one_line_says_so(tmp_path: Path):
    environment = {**os.environ, "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", TRY_TO_COMPILE], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "extract_attention.compile" in line]
    assert "expected a C++ compiler" in line
    assert "Traceback" not in done.stderr


def test_a_compiler_that_fails_is_refused_before_a_photo_is_read(monkeypatch: pytest.MonkeyPatch):
    def fail(_function: object) -> None:
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr("torch.compile", fail)
    with pytest.raises(ModelError, match=r"^extract_attention\.compile: .*\(no compiler at all\); .*compile: false$"):
        AttentionExtractor(make_section(compile=True))
