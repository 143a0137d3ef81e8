"""A file that is there and cannot be read is no damaged one: it is named, and nothing is removed or computed again."""

import errno
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from filelock import FileLock
from pydantic import BaseModel

from refdiff.attention.store import AttentionStore
from refdiff.errors import UnreadableError
from refdiff.json_record import read_record
from refdiff.parquet import read_provenance, read_table, verify_table
from refdiff.store import dvc_cache, pool_shards
from refdiff.store.console import EXIT_DAMAGED, print_verification, repair_and_print
from refdiff.store.opened import open_store
from refdiff.store.photo_batches import PhotoBatches
from refdiff.store.pool import Pool
from refdiff.store.verify import Kind, verify_store
from tests.store.toy_photos import COLUMNS, fill, make_pool, make_tasks
from tests.store.toy_project import SHARD, flip_byte, make_toy
from tests.unprivileged import contents, run_bound

ERRORS = [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE]
OTHER = "self_4x4/c/2/0/0/0"

Fail = Callable[[str, int], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Have the opening of files whose path ends so fail with an error number."""
    os_open, path_open = os.open, Path.open

    def arrange(end: str, number: int) -> None:
        def refuse(path: object) -> None:
            if str(path).endswith(end):
                raise OSError(number, os.strerror(number), str(path))

        def open_by_os(path: Any, *arguments: Any, **keywords: Any) -> int:
            refuse(path)
            return os_open(path, *arguments, **keywords)

        def open_by_path(path: Path, *arguments: Any, **keywords: Any) -> Any:
            refuse(path)
            return path_open(path, *arguments, **keywords)

        monkeypatch.setattr(os, "open", open_by_os)
        monkeypatch.setattr(Path, "open", open_by_path)

    return arrange


def find_faults(path: Path) -> list[tuple[Kind, str]]:
    return [(fault.kind, fault.name) for fault in verify_store(open_store(str(path)))]


@pytest.mark.parametrize("number", ERRORS)
@pytest.mark.parametrize("suffix", [".arrow", ".json"])
def test_a_pool_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail: Fail, number: int, suffix: str
) -> None:
    tasks = make_tasks(range(3), bucket="abc")
    fill(tmp_path, tasks)
    pool = tmp_path / ".work/pool"
    (file,) = pool.glob(f"*/*/photos/*/*{suffix}")
    before = contents(pool / "stage")
    fail(file.name, number)
    expected = rf"{file}: cannot be read \({re.escape(os.strerror(number))}\); correct its permissions .*same command"
    with pytest.raises(UnreadableError, match=expected):
        fill(tmp_path, tasks)
    shards = Pool.open_shards(make_pool(tmp_path).path, COLUMNS)
    if suffix == ".json":  # whose data a sweep would otherwise take away
        with pytest.raises(UnreadableError, match="cannot be read"):
            shards.sweep("abc")
    monkeypatch.undo()
    assert contents(pool / "stage") == before
    assert fill(tmp_path, tasks) == 0


def test_what_another_run_mends_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the finding of damage and the lock, the lock's holder writes the same shard again."""
    tasks = make_tasks(range(3), bucket="abc")
    fill(tmp_path, tasks)
    (data,) = tmp_path.glob(".work/pool/*/*/photos/*/*.arrow")
    whole = data.read_bytes()
    flip_byte(data, 2000)

    class LateLock(FileLock):
        def acquire(self, *arguments: Any, **keywords: Any) -> Any:
            data.write_bytes(whole)
            return super().acquire(*arguments, **keywords)

    monkeypatch.setattr(pool_shards, "FileLock", LateLock)
    batches = PhotoBatches(tasks, Pool.open_shards(make_pool(tmp_path).path, COLUMNS))
    batches.verify([0])
    assert data.read_bytes() == whole
    assert batches.is_done(0)


def test_damage_is_taken_away_under_the_lock(tmp_path: Path) -> None:
    tasks = make_tasks(range(3), bucket="abc")
    fill(tmp_path, tasks)
    (data,) = tmp_path.glob(".work/pool/*/*/photos/*/*.arrow")
    flip_byte(data, 2000)
    batches = PhotoBatches(tasks, Pool.open_shards(make_pool(tmp_path).path, COLUMNS))
    verify = threading.Thread(target=batches.verify, args=([0],))
    with FileLock(batches.lock(0)):
        verify.start()
        verify.join(0.3)
        assert verify.is_alive()
        assert batches.is_done(0)
    verify.join(30)
    assert not batches.is_done(0)


@pytest.mark.parametrize("number", ERRORS)
def test_verify_names_it_and_repair_refuses(
    published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fail: Fail, number: int
) -> None:
    flip_byte(published / OTHER)
    before = contents(published)
    fail(SHARD, number)
    assert find_faults(published) == [(Kind.UNREADABLE, SHARD), (Kind.DAMAGED, OTHER)]
    with pytest.raises(SystemExit) as ended:
        print_verification(str(published))
    assert ended.value.code == EXIT_DAMAGED
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"unreadable: .*/{SHARD} \(shard 1, .*\): cannot be read \(.*\); correct its .*", lines[0])
    assert lines[-1] == "2 faults; see to what cannot be read, then run this again: nobody knows whether it is damaged"
    with pytest.raises(UnreadableError, match=rf"/{SHARD}: cannot be read .* run the same .*; nothing was removed"):
        repair_and_print(str(published))
    with pytest.raises(UnreadableError, match=rf"/{SHARD}: cannot be read"):
        AttentionStore.open(published).read(4)
    monkeypatch.undo()
    assert contents(published) == before
    repair_and_print(str(published))
    assert before.keys() - contents(published).keys() == {OTHER}


@pytest.mark.parametrize("name", ["cross_8x8/zarr.json", SHARD])
def test_a_work_folder_is_left_as_it_is(in_work: Path, monkeypatch: pytest.MonkeyPatch, fail: Fail, name: str) -> None:
    flip_byte(in_work / "content" / OTHER)
    before = contents(in_work)
    fail(f"content/{name}", errno.EIO)
    assert sorted(find_faults(in_work)) == sorted([(Kind.UNREADABLE, name), (Kind.DAMAGED, OTHER)])
    with pytest.raises(UnreadableError, match=f"{name}: cannot be read"):
        repair_and_print(str(in_work))
    monkeypatch.undo()
    assert before.items() <= contents(in_work).items()
    repair_and_print(str(in_work))
    assert find_faults(in_work) == []


@pytest.mark.parametrize("name", ["zarr.json", "done/000001.json", "facts.json"])
def test_without_a_record_nothing_is_judged(published: Path, in_work: Path, fail: Fail, name: str) -> None:
    path = published if name == "zarr.json" else in_work
    fail(f"{path.name}/{name}", errno.EACCES)
    for action in (print_verification, repair_and_print):
        with pytest.raises(UnreadableError, match=rf"{name}: cannot be read \(Permission denied\)"):
            action(str(path))


def test_the_cache_of_dvc_is_read_before_anything_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_toy(tmp_path / "project")
    project.repro()
    cached = project.cached(project.content()[SHARD])
    project.damage()
    (work,) = (project.root / ".work/extract_attention").iterdir()
    flip_byte(work / "content" / SHARD)
    before = contents(project.root)

    def read(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(dvc_cache, "_md5", read)
    with pytest.raises(UnreadableError, match=r"cannot be read \(Permission denied\)"):
        repair_and_print(str(project.store))
    monkeypatch.undo()
    after = contents(project.root)
    assert {name for name in before if name not in after and not name.startswith(".dvc/tmp")} == set()
    assert cached.exists()
    repair_and_print(str(project.store))
    assert not (work / "content" / SHARD).exists()


def test_lost_permissions_by_the_commands(published: Path, tmp_path: Path) -> None:
    """With the kernel's own refusal: of a file, and of a folder in which nothing can be looked at."""
    before = contents(published)
    for place, mode in ((SHARD, 0o000), ("cross_8x8", 0o400)):
        kept = (published / place).stat().st_mode
        (published / place).chmod(mode)
        verified = run_bound(tmp_path, "-m", "refdiff.cli", "store", "verify", str(published))
        repaired = run_bound(tmp_path, "-m", "refdiff.cli", "store", "repair", str(published))
        (published / place).chmod(kept)
        assert verified.returncode == (EXIT_DAMAGED if place == SHARD else 2), verified
        assert "cannot be read (Permission denied)" in verified.stdout + verified.stderr
        assert repaired.returncode == 2, repaired
        assert re.fullmatch(r"error: .*cannot be read \(Permission denied\); .*\n", repaired.stderr)
        assert contents(published) == before


class Record(BaseModel):
    """What a reader of a record relies on."""


RECORDS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a record": ("dataset.json", lambda path: read_record(path, Record)),
    "a table": ("images.parquet", lambda path: read_table(path, pa.schema([]))),
    "a table that is verified": ("images.parquet", verify_table),
    "a table's provenance": ("images.parquet", read_provenance),
}
READ = "import sys\nfrom pathlib import Path\nfrom tests.store.test_unreadable import RECORDS\n"


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_or_table_that_cannot_be_read_is_not_to_be_made_again(tmp_path: Path, name: str):
    file = tmp_path / RECORDS[name][0]
    file.write_bytes(b"{}")
    file.chmod(0)
    done = run_bound(tmp_path, "-c", f"{READ}RECORDS[{name!r}][1](Path({str(file)!r}))")
    assert f"UnreadableError: {file}: cannot be read (Permission denied); correct its permissions" in done.stderr
    assert file.exists()


def test_an_error_of_the_disk_is_not_damage():
    """The kernel answers a read of this file's start with EIO."""
    with pytest.raises(UnreadableError, match=r"/proc/self/mem: cannot be read \(Input/output error\)"):
        read_record(Path("/proc/self/mem"), Record)
