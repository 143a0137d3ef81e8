"""A damaged shard stops whoever reads it: never another number than the one that was stored."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refdiff.attention.store import AttentionStore
from refdiff.clip.store import ClipStore
from refdiff.errors import ShardCorruptError, StoreError
from refdiff.store.opened import open_store
from refdiff.store.verify import verify_store
from tests.store.toy_project import SHARD, flip_byte, make_toy, stage_environment
from tests.store.toy_stage import PARAMS, STORE, make_store

LOCAL = "local/c/1/0"


def read_attention(path: Path) -> np.ndarray:
    return np.concatenate([maps.maps[8, 8].ravel() for _, maps in AttentionStore.open(path).iterate()])


def read_embeddings(path: Path) -> np.ndarray:
    store = ClipStore.open(path)
    return np.concatenate([store.local(0, "none"), store.local(1, "left"), store.local(1, "none")])


def test_no_flipped_byte_of_an_attention_shard_changes_a_number(published: Path):
    before, size, refused = read_attention(published), (published / SHARD).stat().st_size, 0
    for place in range(0, size, max(1, size // 60)):
        flip_byte(published / SHARD, place)
        try:
            np.testing.assert_array_equal(read_attention(published), before)
        except ShardCorruptError:
            refused += 1
        flip_byte(published / SHARD, place)
    assert refused > 50


def test_no_flipped_byte_of_embeddings_changes_a_number(embeddings: Path):
    before, size, refused = read_embeddings(embeddings), (embeddings / LOCAL).stat().st_size, 0
    for place in range(size):
        flip_byte(embeddings / LOCAL, place)
        try:
            np.testing.assert_array_equal(read_embeddings(embeddings), before)
        except ShardCorruptError:
            refused += 1
        flip_byte(embeddings / LOCAL, place)
    assert refused > 0.9 * size


def test_embeddings_are_verified(embeddings: Path):
    assert verify_store(open_store(str(embeddings))) == []
    flip_byte(embeddings / LOCAL)
    (embeddings / "proposals/c/0").unlink()
    assert {fault.name for fault in verify_store(open_store(str(embeddings)))} == {LOCAL, "proposals/c/0"}


@pytest.mark.parametrize("damage", ["flip", "lose"])
def test_a_stage_stops_and_says_where(tmp_path: Path, published: Path, damage: str):
    project = make_toy(tmp_path / "project")
    (project.root / STORE).parent.mkdir(parents=True)
    published.rename(project.root / STORE)
    if damage == "flip":
        project.damage()
    else:
        (project.root / STORE / SHARD).unlink()
    ended = subprocess.run(
        [sys.executable, "-m", "tests.store.toy_weigh"],
        cwd=project.root,
        env=stage_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert f"{STORE}/{SHARD}" in ended.stderr
    assert not (project.root / "sum.json").exists()


def test_a_published_store_that_lost_its_end_is_no_store(published: Path):
    (published / "zarr.json").write_bytes((published / "zarr.json").read_bytes()[:100])
    with pytest.raises(StoreError, match=r"make it again|repair"):
        AttentionStore.open(published)


@pytest.mark.parametrize("name", ["cross_8x8/c/4/0/0/0/0", "self_4x4/c/2/0/0/0"])
def test_a_shard_whose_index_is_damaged_is_written_anew(tmp_path: Path, name: str):
    params = {**PARAMS, "with_self": True}
    make_store(tmp_path, params)
    before = (tmp_path / STORE / name).read_bytes()
    flip_byte(tmp_path / STORE / name, len(before) - 1)  # the work folder's file too, by a hard link
    assert make_store(tmp_path, params) == 1
    assert (tmp_path / STORE / name).read_bytes() == before
