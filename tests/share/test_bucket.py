"""A store read in place from a real S3 server, by the commands and by Zarr itself."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import ObjectStore

from refdiff.attention.store import AttentionStore
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreError
from refdiff.store.console import print_summary, print_verification, repair_and_print
from refdiff.store.remote import RemoteSource
from tests.store.toy_project import SHARD
from tests.store.toy_stage import PARAMS, STORE, make_store

pytestmark = pytest.mark.slow

obstore = pytest.importorskip("obstore", reason="obstore is not installed: pip install -e '.[s3]'")
ADDRESS = "s3://refdiff/stores/paper.zarr"


@pytest.fixture(scope="module")
def uploaded(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store in the bucket, and the folder that it was copied from."""
    root = tmp_path_factory.mktemp("bucket")
    make_store(root, PARAMS)
    bucket = open_bucket()
    for file in (root / STORE).rglob("*"):
        if file.is_file():
            obstore.put(bucket, file.relative_to(root / STORE).as_posix(), file)
    return root / STORE


def open_bucket():
    return obstore.store.from_url(ADDRESS, client_options={"allow_http": True})


def test_the_source_gives_what_the_folder_has(uploaded: Path):
    source = RemoteSource(ADDRESS)
    files = {path.relative_to(uploaded).as_posix(): path for path in uploaded.rglob("*") if path.is_file()}
    assert source.names() == {name: path.stat().st_size for name, path in files.items()}
    assert source.read(SHARD) == files[SHARD].read_bytes()
    with pytest.raises(ShardCorruptError, match=r"cross_8x8/c/77: is not there"):
        source.read("cross_8x8/c/77")


def test_info_and_verify_in_place(uploaded: Path, capsys: pytest.CaptureFixture[str]):
    print_summary(ADDRESS, as_json=False)
    assert f"{ADDRESS}: attention, complete" in capsys.readouterr().out
    print_verification(ADDRESS)
    assert "whole; " in capsys.readouterr().out


def test_damage_in_the_bucket_is_named_and_left_there(uploaded: Path, capsys: pytest.CaptureFixture[str]):
    bucket, content = open_bucket(), (uploaded / SHARD).read_bytes()
    obstore.put(bucket, SHARD, b"X" + content[1:])
    try:
        with pytest.raises(SystemExit):
            print_verification(ADDRESS)
        assert f"damaged: {ADDRESS}/{SHARD} (shard 1, expressions 4 to 7)" in capsys.readouterr().out
        with pytest.raises(StoreError, match="is remote; repair the copy"):
            repair_and_print(ADDRESS)
    finally:
        obstore.put(bucket, SHARD, content)


def test_an_attention_store_is_read_where_it_lies(uploaded: Path):
    here, there = AttentionStore.open(uploaded), AttentionStore.open(RemoteSource(ADDRESS))
    np.testing.assert_array_equal(there.read(5).maps[8, 8], here.read(5).maps[8, 8])


def test_zarr_reads_it_as_the_readme_shows(uploaded: Path):
    group = zarr.open_group(ObjectStore(open_bucket(), read_only=True), mode="r")
    maps = np.asarray(group["cross_8x8"][5, 0])  # pyright: ignore[reportIndexIssue, reportArgumentType]
    np.testing.assert_array_equal(maps.astype(np.float32), AttentionStore.open(uploaded).read(5).maps[8, 8][0])


def test_what_is_not_there_or_cannot_be_reached_is_one_line(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ArtifactMissingError, match="nothing there; correct the address"):
        RemoteSource("s3://refdiff/nowhere.zarr").names()
    with pytest.raises(StoreError, match=r"cannot be listed .*check the address"):
        RemoteSource("s3://no-such-bucket/x.zarr").names()
