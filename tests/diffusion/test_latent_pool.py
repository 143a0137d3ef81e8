"""Latents kept by real processes at once, one of which is killed: each is there once, and none is another."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refdiff.diffusion.latent_pool import COLUMNS, LatentPool
from refdiff.errors import UnreadableError
from refdiff.store.pool import Pool
from refdiff.store.pool_shards import bucket_of
from tests.diffusion.keep_latents import PHOTOS, make_latent, name_photo
from tests.unprivileged import contents

ROOT = Path(__file__).parents[2]


def start(folder: Path, seed: int, seconds: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.diffusion.keep_latents", str(folder), str(seed), str(seconds)], cwd=ROOT
    )


def test_processes_keep_the_same_latents_at_once_though_one_is_killed(tmp_path: Path) -> None:
    with start(tmp_path, 0, 0.01) as killed, start(tmp_path, 1, 0.0) as one, start(tmp_path, 2, 0.0) as two:
        limit = time.monotonic() + 60
        while len(list(tmp_path.glob("photos/*/*.json"))) < PHOTOS // 4:
            assert time.monotonic() < limit
            time.sleep(0.001)
        killed.kill()
        assert (one.wait(timeout=60), two.wait(timeout=60)) == (0, 0)
    pool = LatentPool(tmp_path, is_drawn=False)
    for number in range(PHOTOS):
        found = pool.find(name_photo(number), "any")
        assert found is not None
        np.testing.assert_array_equal(found, make_latent(number))
    assert len(list(tmp_path.glob("photos/*/*.arrow"))) == PHOTOS


@pytest.mark.parametrize("is_drawn", [False, True])
def test_an_id_counts_where_latents_are_drawn(tmp_path: Path, is_drawn: bool) -> None:
    pool = LatentPool(tmp_path, is_drawn)
    pool.keep(name_photo(1), "a", make_latent(1))
    assert pool.find(name_photo(1), "a") is not None
    assert (pool.find(name_photo(1), "b") is None) == is_drawn
    assert pool.find(name_photo(2), "a") is None


@pytest.mark.parametrize("suffix", [".json", ".arrow"])
def test_what_cannot_be_read_is_named_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """A lost permission is no damage: the latent is not computed again, nor removed."""
    LatentPool(tmp_path, is_drawn=False).keep(name_photo(1), "a", make_latent(1))
    (file,) = tmp_path.glob(f"photos/*/*{suffix}")
    before, opened = contents(tmp_path), Path.open

    def refuse(path: Path, *arguments: Any, **keywords: Any) -> Any:
        if path == file:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableError, match=rf"{file}: cannot be read \(Permission denied\)"):
        LatentPool(tmp_path, is_drawn=False).find(name_photo(1), "a")
    monkeypatch.undo()
    assert contents(tmp_path) == before
    assert LatentPool(tmp_path, is_drawn=False).find(name_photo(1), "a") is not None


def test_bits_are_kept(tmp_path: Path) -> None:
    """Values that a rounding, a text or a comparison would lose."""
    values = np.array([[[-0.0, 1e-45, np.float32(1) + np.finfo(np.float32).eps]]], np.float32)
    pool = LatentPool(tmp_path, is_drawn=False)
    pool.keep(name_photo(1), "a", values)
    found = pool.find(name_photo(1), "a")
    assert found is not None
    assert (found.shape, found.dtype, found.tobytes()) == (values.shape, values.dtype, values.tobytes())
    found[...] = 0  # its own, not the file's


@pytest.mark.parametrize(
    ("shape", "latent"),
    [
        ([1, 2, 2], [0.0] * 3),
        ([2, 2], [0.0] * 4),
        ([-1, -2, 2], [0.0] * 4),
        ([1, None, 2], [0.0] * 4),
        (None, [0.0] * 4),
        ([1, 2, 2], None),
        ([1, 2, 2], [0.0, None, 0.0, 0.0]),
        ([1, 2, 2], [0.0, np.inf, 0.0, 0.0]),
    ],
)
def test_what_is_no_latent_counts_as_not_kept(tmp_path: Path, shape: list[int] | None, latent: list[float]) -> None:
    """A forgery: its digests are right, and a run goes on as if it were not there."""
    photo = name_photo(1)
    Pool.open_shards(tmp_path, COLUMNS).write(bucket_of(photo), [{photo: {"shape": shape, "latent": latent}}])
    pool = LatentPool(tmp_path, is_drawn=False)
    assert pool.find(photo, "a") is None
    pool.keep(photo, "a", make_latent(1))
    assert pool.find(photo, "a") is None
