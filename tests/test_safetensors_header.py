"""The header of a weights file: read without the weights, and refused where the file is another or a part."""

import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from refdiff.errors import ModelError
from refdiff.safetensors_header import read_header

WHOLE = save({"a.weight": np.zeros((2, 3), np.float16), "b": np.zeros((), np.float32)})


def test_types_and_shapes_by_name(tmp_path: Path):
    (tmp_path / "x.safetensors").write_bytes(WHOLE)
    assert read_header(tmp_path / "x.safetensors") == {"a.weight": ("F16", (2, 3)), "b": ("F32", ())}


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (WHOLE[:-1], f"got {len(WHOLE) - 1} bytes that do not fit a header"),
        (WHOLE[:20], "got 20 bytes"),
        (WHOLE + b"x", "do not fit a header"),
        (b"", "got 0 bytes"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
            r"got a Git LFS pointer; run `git lfs pull`",
        ),
        (b"<!doctype html><title>404</title>", "got a page of HTML"),
        (b"PK\x03\x04archive/data.pkl", "got a pickle of torch"),
        (b"\x80\x02}q\x00.", "got a pickle$"),
    ],
)
def test_another_file_or_a_part_is_refused_by_name(tmp_path: Path, content: bytes, got: str):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=rf"x\.safetensors: is no whole safetensors file; .*{got}"):
        read_header(tmp_path / "x.safetensors")


def test_an_absent_file_is_for_the_caller(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "x.safetensors")


def test_reading_a_header_needs_no_torch():
    import subprocess

    code = "import refdiff.safetensors_header, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
