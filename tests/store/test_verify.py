"""verify and info: everything that is not as recorded is named, and what is whole is called whole."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from refdiff.clip.store_writer import DIMENSIONS, write_rows
from refdiff.errors import ArtifactMissingError, StoreError, StoreMismatchError
from refdiff.store.console import EXIT_DAMAGED, print_summary, print_verification, repair_and_print
from refdiff.store.describe import summarise_store
from refdiff.store.fingerprint import digest_file
from refdiff.store.opened import open_store
from refdiff.store.verify import Kind, verify_store
from tests.store.dimensions import read_dimensions
from tests.store.toy_embeddings import DIM
from tests.store.toy_project import SHARD, flip_byte


def find_faults(path: Path) -> list[tuple[Kind, str, int | None]]:
    return [(fault.kind, fault.name, fault.shard) for fault in verify_store(open_store(str(path)))]


def test_a_whole_store_has_no_faults(published: Path, in_work: Path, capsys: pytest.CaptureFixture[str]):
    assert find_faults(published) == []
    assert find_faults(in_work) == []
    print_verification(str(published))
    assert re.search(r"whole; \d+ files with their digests, 5 shards", capsys.readouterr().out)


def test_every_file_is_watched(published: Path):
    """A flipped byte is found in whichever file it is, the root's metadata apart, which is the record itself."""
    names = sorted(path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file())
    assert len(names) > 20
    for name in names:
        if name != "zarr.json":
            flip_byte(published / name)
            assert name in [fault.name for fault in verify_store(open_store(str(published)))]
            flip_byte(published / name)
    assert find_faults(published) == []


@pytest.mark.parametrize("damage", ["flip", "truncate", "lose", "folder", "dangling"])
def test_a_damaged_shard_is_named(published: Path, damage: str):
    file = published / SHARD
    if damage == "flip":
        flip_byte(file)
    elif damage == "truncate":
        os.truncate(file, 10)
    else:
        file.unlink()
    if damage == "dangling":
        file.symlink_to("nowhere")
    elif damage == "folder":
        file.symlink_to(published)
    expected = Kind.MISSING if damage == "lose" else Kind.DAMAGED
    assert find_faults(published) == [(expected, SHARD, 1)]


def test_exit_code_and_members(published: Path, capsys: pytest.CaptureFixture[str]):
    flip_byte(published / SHARD)
    flip_byte(published / "self_4x4/c/2/0/0/0")
    with pytest.raises(SystemExit) as ended:
        print_verification(str(published))
    assert ended.value.code == EXIT_DAMAGED
    lines = capsys.readouterr().out.splitlines()
    assert f"{SHARD} (shard 1, expressions 4 to 7): its content does not have the recorded digest" in lines[0]
    assert "self_4x4/c/2/0/0/0 (shard 1, photos 2 to 2)" in lines[1]
    assert lines[2].startswith("2 faults; `refdiff store repair")


def test_surplus_files_are_named(published: Path, in_work: Path):
    (published / "cross_8x8/c/9").mkdir()
    (published / "cross_8x8/c/9/0").write_bytes(b"")
    (in_work / "content/cross_8x8/c.0.partial").write_bytes(b"")
    assert find_faults(published) == [(Kind.SURPLUS, "cross_8x8/c/9/0", None)]
    assert find_faults(in_work) == [(Kind.SURPLUS, "cross_8x8/c.0.partial", None)]


def test_a_digest_is_no_cure_for_a_broken_chunk(published: Path):
    """A record can be made of a file that was damaged before: then the chunk's own checksum speaks."""
    file, root = published / SHARD, published / "zarr.json"
    flip_byte(file)
    metadata = json.loads(root.read_text())
    metadata["attributes"]["refdiff"]["shards"][1]["files"][SHARD]["sha256"] = digest_file(file)
    root.write_text(json.dumps(metadata))
    faults = verify_store(open_store(str(published)))
    assert [fault.name for fault in faults] == [SHARD]
    assert "a chunk is damaged" in faults[0].reason


def test_values_that_are_no_numbers_are_named(embeddings: Path):
    """Stores are never written with NaN: one that holds it was made otherwise, whatever its digests say."""
    write_rows(embeddings / "local", 0, np.array([[1] * DIM, [np.nan] * DIM, *[[2] * DIM] * 2], np.float32))
    root = embeddings / "zarr.json"
    metadata = json.loads(root.read_text())
    file = embeddings / "local/c/0/0"
    record = {"bytes": file.stat().st_size, "sha256": digest_file(file)}
    metadata["attributes"]["files"]["local/c/0/0"] = record
    root.write_text(json.dumps(metadata))
    (fault,) = verify_store(open_store(str(embeddings)))
    assert (fault.kind, fault.name) == (Kind.DAMAGED, "local/c/0/0")
    assert fault.reason == "holds NaN or infinity, which no stage writes"


def test_shards_that_nobody_recorded_are_missed(published: Path):
    root = published / "zarr.json"
    metadata = json.loads(root.read_text())
    del metadata["attributes"]["refdiff"]["shards"][4]
    root.write_text(json.dumps(metadata))
    assert (Kind.MISSING, "cross_8x8/c", None) in find_faults(published)


def test_what_is_no_store_is_refused(tmp_path: Path, published: Path):
    with pytest.raises(ArtifactMissingError, match=r"not there; expected the folder of a store"):
        open_store(str(tmp_path / "nothing"))
    with pytest.raises(StoreError, match=rf"has no zarr\.json; .*; give {published}$"):
        open_store(str(tmp_path))
    (published / "zarr.json").write_text("[" * 100_000)
    with pytest.raises(StoreMismatchError, match="is no metadata of a store of refdiff"):
        open_store(str(published))


def test_what_is_near_a_store_is_told_apart(
    published: Path, in_work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "empty").mkdir()
    for name in ("text.parquet", "notes.txt", "paper.zarr.dvc", "other/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a.zarr").mkdir()
    file = r"is a file; expected a store, which is a folder that ends in \.zarr; correct the path"
    expected = {
        "notes.txt": f"{file}$",
        "text.parquet": f"{file}; `refdiff store verify` reads tables, the other commands do not$",
        "paper.zarr.dvc": r"is DVC's note of .*paper\.zarr; .*; give that path$",
        "empty": "is an empty folder; .*; correct the path, or run `dvc repro` or `dvc pull`$",
        "other": r"has no zarr\.json; expected a store, .*, or a work folder below \.work; correct the path$",
        ".work": f"; give {in_work}$",
        "a.zarr": r"has no zarr\.json",
    }
    for name, message in expected.items():
        for action in (print_verification, repair_and_print, lambda path: print_summary(path, as_json=False)):
            if name != "text.parquet" or action is not print_verification:
                with pytest.raises(StoreError, match=message):
                    action(str(tmp_path / name))
    for part in ("zarr.json", "tokens", "tokens/zarr.json"):
        with pytest.raises(StoreError, match=f"is a part of a store; expected the whole; give {published}$"):
            open_store(str(published / part))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_store(f"~/{published.relative_to(tmp_path)}").manifest.complete


def test_info(published: Path, in_work: Path, capsys: pytest.CaptureFixture[str]):
    summary = summarise_store(open_store(str(published)))
    assert (summary.complete, summary.shards) == (True, (5, 5))
    cross = next(array for array in summary.arrays if array.name == "cross_8x8")
    assert (cross.shape, cross.files) == ((18, 4, 2, 8, 8), (5, 5))
    assert cross.raw_bytes == 18 * 4 * 2 * 8 * 8 * 2
    (in_work / "done/000003.json").unlink()
    assert summarise_store(open_store(str(in_work))).shards == (4, 5)
    print_summary(str(in_work), as_json=False)
    text = capsys.readouterr().out
    assert "in the making" in text
    assert "shards  4 of 5" in text
    assert "parameters.seed  0" in text
    print_summary(str(published), as_json=True)
    assert json.loads(capsys.readouterr().out)["kind"] == "attention"


def test_dimensions_have_names(published: Path, embeddings: Path):
    attention, clip = read_dimensions(published), read_dimensions(embeddings)
    assert attention["cross_8x8"] == ("expression", "token", "cross_8x8_map", "height_8", "width_8")
    assert attention["self_4x4"] == ("image", "self_4x4_map", "self_4x4_query", "self_4x4_key")
    assert attention["tokens"] == ("expression",)
    assert clip["text"] == ("text_row", "channel")
    assert set(clip) == set(DIMENSIONS)


def test_files_stay_few(published: Path):
    """One file a shard and array, one a photo's self-attention, and a few of metadata: never one a chunk."""
    files = [path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()]
    cross = [name for name in files if name.startswith("cross_") and "/c/" in name]
    assert len(cross) == 5 * 2  # five shards, two map sizes; each shard holds several inner chunks
    assert len(files) == len(cross) + 6 + len(["zarr.json", "tokens", "tokens/c/0"]) + 3
