"""Stores from strangers: whatever their metadata says, the readers refuse in one line or read what is there."""

import contextlib
import os
import shutil
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refdiff.errors import RefdiffError
from refdiff.store.manifest import check_name, parse_marker
from refdiff.store.opened import open_store
from refdiff.store.verify import Kind, verify_store
from tests.fuzzing import count_examples
from tests.store.hostile import inspect, read_attention, read_embeddings, try_bent
from tests.store.toy_embeddings import make_embeddings
from tests.store.toy_project import SHARD

EXAMPLES = count_examples()
EMBEDDINGS_METADATA = [*["zarr.json"] * 2, *(f"{name}/zarr.json" for name in ("local", "local_start", "proposals"))]
FUZZED = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)


@pytest.fixture(scope="module")
def embeddings_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_embeddings(tmp_path_factory.mktemp("embeddings"))


@pytest.fixture(scope="module")
def attention_once(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = next((pristine / "artifacts").rglob("paper.zarr"))
    return Path(shutil.copytree(store, tmp_path_factory.mktemp("hostile") / "artifacts/toy/attention/paper.zarr"))


@FUZZED
@given(data=st.data(), name=st.sampled_from(["zarr.json", "zarr.json", "cross_8x8/zarr.json", "tokens/zarr.json"]))
def test_attention_stores(data: st.DataObject, name: str, attention_once: Path):
    try_bent(data, attention_once / name, inspect, attention_once)
    try_bent(data, attention_once / name, read_attention, attention_once)


@FUZZED
@given(
    data=st.data(),
    name=st.sampled_from(["zarr.json", "zarr.json", "local/zarr.json", "local_start/zarr.json", "proposals/zarr.json"]),
)
def test_stores_of_embeddings(data: st.DataObject, name: str, embeddings_once: Path):
    try_bent(data, embeddings_once / name, inspect, embeddings_once)
    try_bent(data, embeddings_once / name, read_embeddings, embeddings_once)


@FUZZED
@given(data=st.data())
def test_records_of_work_folders(data: st.DataObject, pristine: Path):
    marker = next(iter((pristine / ".work/extract_attention").glob("*/done/000001.json")))
    try_bent(data, marker, lambda folder: inspect(folder.parents[1]), marker)


@FUZZED
@given(content=st.binary(max_size=300))
def test_records_of_any_bytes(content: bytes):
    with contextlib.suppress(RefdiffError):
        parse_marker(content, "here")


@given(name=st.text(max_size=40))
def test_accepted_names_stay_inside(name: str):
    try:
        check_name(name)
    except ValueError:
        return
    assert Path("/store", name).resolve().is_relative_to("/store")
    assert name.isprintable()


def test_what_is_no_file_does_not_hang(published: Path):
    """A pipe, a socket, a device and a link that runs in a circle."""
    names = [f"cross_8x8/c/{shard}/0/0/0/0" for shard in range(4)]
    for name in names:
        (published / name).unlink()
    os.mkfifo(published / names[0])
    (published / names[1]).symlink_to("/dev/zero")
    (published / names[2]).symlink_to("0")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir((published / names[3]).parent)
        try:
            listener.bind("0")
        finally:
            os.chdir(here)
        faults = [(fault.kind, fault.name) for fault in verify_store(open_store(str(published)))]
    assert faults == [(Kind.DAMAGED, name) for name in names]


def test_a_huge_sparse_file_is_not_read(published: Path):
    os.truncate(published / SHARD, 1 << 40)
    (fault,) = verify_store(open_store(str(published)))
    assert (fault.kind, fault.name) == (Kind.DAMAGED, SHARD)
