"""Work folders: what is finished stays, what is damaged is done again, and nothing else is continued."""

import errno
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from refdiff.errors import StoreError
from refdiff.store import work as work_module
from refdiff.store.work import WorkFolder

FACTS = {"seed": 0, "model": "digest"}


def make_work(root: Path, **changes) -> WorkFolder:
    return WorkFolder(root, "stage", "val-paper", {**FACTS, **changes})


def write_shard(work: WorkFolder, index: int) -> None:
    (work.content / f"shard{index}").write_text(f"content of {index}")
    work.record(index, [f"shard{index}"])


def test_finished_shards_stay(tmp_path: Path):
    first = make_work(tmp_path)
    with first.hold():
        write_shard(first, 0)
        write_shard(first, 2)
        (first.content / "shard3").write_text("killed before it was recorded")
    again = make_work(tmp_path)
    with again.hold():
        assert sorted(again.finished()) == [0, 2]


def test_other_facts_are_another_folder(tmp_path: Path):
    first = make_work(tmp_path)
    with first.hold():
        write_shard(first, 0)
    for changes in ({"seed": 1}, {"model": "other"}, {"more": None}):
        other = make_work(tmp_path, **changes)
        assert other.path != first.path
        with other.hold():
            assert other.finished() == {}


def test_the_order_of_facts_does_not_matter(tmp_path: Path):
    assert (
        WorkFolder(tmp_path, "s", "n", dict(reversed(FACTS.items()))).path == WorkFolder(tmp_path, "s", "n", FACTS).path
    )


@pytest.mark.parametrize("damage", ["flip", "tear", "lose", "marker"])
def test_damaged_shards_are_done_again(tmp_path: Path, damage: str):
    work = make_work(tmp_path)
    with work.hold():
        write_shard(work, 0)
        write_shard(work, 1)
        file = work.content / "shard1"
        if damage == "flip":
            file.write_text("Content of 1")
        elif damage == "tear":
            file.write_text("cont")
        elif damage == "lose":
            file.unlink()
        else:
            (work.path / "done" / "000001.json").write_text('{"index"')
        assert sorted(work.finished()) == [0]
        write_shard(work, 1)
        assert sorted(work.finished()) == [0, 1]


def test_publishing_links_and_leaves_nothing_else(tmp_path: Path):
    work, target = make_work(tmp_path), tmp_path / "artifacts" / "out"
    target.mkdir(parents=True)
    (target / "older").write_text("of another run")
    with work.hold():
        write_shard(work, 0)
        (work.content / "orphan.partial").write_text("half")
        work.publish(target, ["shard0"], {"meta.json": b"{}"})
    assert sorted(path.name for path in target.iterdir()) == ["meta.json", "shard0"]
    assert (target / "shard0").samefile(work.content / "shard0")
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_where_links_fail_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_paths) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(work_module.os, "link", refuse)
    work = make_work(tmp_path)
    with work.hold():
        write_shard(work, 0)
        work.publish(tmp_path / "out", ["shard0"], {})
    assert (tmp_path / "out" / "shard0").read_text() == "content of 0"


def test_work_goes_on_after_dvc_took_the_output_away(tmp_path: Path):
    work = make_work(tmp_path)
    with work.hold():
        write_shard(work, 0)
        work.publish(tmp_path / "out", ["shard0"], {})
    (tmp_path / "out" / "shard0").unlink()
    with work.hold():
        assert sorted(work.finished()) == [0]


def test_complete_work_of_older_facts_goes_when_newer_is_published(tmp_path: Path):
    complete, unfinished, other = make_work(tmp_path), make_work(tmp_path, seed=1), make_work(tmp_path, seed=2)
    elsewhere = WorkFolder(tmp_path, "stage", "test-paper", FACTS)
    for work in (complete, unfinished, elsewhere, other):
        with work.hold():
            write_shard(work, 0)
            if work is not unfinished:
                work.publish(tmp_path / work.path.name, ["shard0"], {})
    assert [work.content.exists() for work in (complete, unfinished, elsewhere, other)] == [False, True, True, True]
    # Were the lock removed too, a run that waits for it and one that comes later would hold two of one name.
    assert [path.name for path in complete.path.iterdir() if "lock" not in path.name] == []


def publish(work: WorkFolder) -> None:
    write_shard(work, 0)
    work.publish(work.path.parents[2] / "out", ["shard0"], {})


def test_complete_work_that_goes_on_is_work_again(tmp_path: Path):
    """An edit of photos goes on in a complete folder; another recipe's run must not take it away in the middle."""
    first, other = make_work(tmp_path), make_work(tmp_path, seed=1)
    with first.hold():
        publish(first)
    with first.hold(shared=True):
        write_shard(first, 1)
    with other.hold():
        publish(other)
    with first.hold():
        assert sorted(first.finished()) == [0, 1]


def test_work_that_another_process_holds_is_not_dropped(tmp_path: Path):
    first, other = make_work(tmp_path), make_work(tmp_path, seed=1)
    with first.hold():
        publish(first)
    with start_holder(tmp_path, 2.0) as holder:
        (first.path / "complete.json").write_text("{}")  # as a run of an older version would have left it
        with other.hold():
            publish(other)
        assert sorted(first.finished()) == [0]
        holder.kill()


@pytest.mark.parametrize(("place", "name"), [(Path, "read_bytes"), (work_module, "digest_file")])
def test_what_cannot_be_read_is_said_and_stays(tmp_path: Path, place: Any, name: str, monkeypatch: pytest.MonkeyPatch):
    """A lost permission, or a disk that does not answer, says nothing of what is stored."""
    work = make_work(tmp_path)
    with work.hold():
        write_shard(work, 0)

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(place, name, refuse)
    with pytest.raises(StoreError, match=r"cannot be read \(Permission denied\); correct its permissions"):
        work.finished()
    monkeypatch.undo()
    assert sorted(work.finished()) == [0]


def test_a_folder_in_a_markers_place_is_one_line(tmp_path: Path):
    work = make_work(tmp_path)
    with work.hold():
        work.marker(0).mkdir()
        with pytest.raises(StoreError, match=r"000000\.json: cannot be written \(Is a directory\)"):
            work.finished()


HOLDER = """
import sys, time
from pathlib import Path
from refdiff.store.work import WorkFolder
with WorkFolder(Path(sys.argv[1]), "stage", "val-paper", {"seed": 0, "model": "digest"}).hold(shared=len(sys.argv) > 3):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def start_holder(root: Path, seconds: float, *more: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(root), str(seconds), *more], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_process_waits_and_says_for_whom(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with start_holder(tmp_path, 1.0) as holder:
        before = time.monotonic()
        with make_work(tmp_path).hold():
            waited = time.monotonic() - before
        holder.wait()
    assert waited > 0.3
    assert f"process {holder.pid}" in capsys.readouterr().err


def test_parts_do_not_wait_for_each_other_and_a_whole_run_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work = make_work(tmp_path)
    with start_holder(tmp_path, 2.0, "shared") as part:
        half_written = work.content / "shard0.partial"
        half_written.write_text("of that part")
        with work.hold(shared=True):
            assert part.poll() is None
        assert half_written.exists()
        assert capsys.readouterr().err == ""
        with work.hold():
            assert part.wait() == 0
        assert not half_written.exists()
    assert f"process {part.pid} on {platform.node()} works on it; waiting" in capsys.readouterr().err
    assert not list((work.path / "holders").iterdir())


def test_several_parts_are_named_and_killed_ones_are_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work, here = make_work(tmp_path), platform.node()
    with start_holder(tmp_path, 60, "shared") as killed:
        killed.kill()
    left = work.path / "holders" / f"{here}-{killed.pid}.json"
    assert left.exists()
    with start_holder(tmp_path, 1.5, "shared") as one, start_holder(tmp_path, 1.5, "shared") as two:
        names = sorted([f"{here}-{one.pid}.json", f"{here}-{two.pid}.json"])
        with work.hold():
            assert not list((work.path / "holders").iterdir())
    said = capsys.readouterr().err
    wanted = ", ".join(f"process {name.removesuffix('.json').rsplit('-', 1)[1]} on {here}" for name in names)
    assert f"{work.path}: {wanted}, each with a part, works on it; waiting" in said
    assert str(killed.pid) not in said


def test_a_part_on_another_host_that_did_not_end_in_order_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    work = make_work(tmp_path)
    (work.path / "holders").mkdir(parents=True)
    (work.path / "holders/node12-7.json").write_text('{"process": 7, "host": "node12"}')
    with work.hold():
        pass
    assert "process 7 on node12 held it and did not end in order" in capsys.readouterr().err
    with work.hold():
        pass
    assert capsys.readouterr().err == "", "it is said once"


def test_a_part_waits_for_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with start_holder(tmp_path, 1.0) as whole, make_work(tmp_path).hold(shared=True):
        assert whole.wait(timeout=1) == 0
    assert f"process {whole.pid}" in capsys.readouterr().err


def test_a_killed_holder_holds_nothing(tmp_path: Path):
    with start_holder(tmp_path, 60) as holder:
        holder.kill()
        holder.wait()
        before = time.monotonic()
        with make_work(tmp_path).hold():
            assert time.monotonic() - before < 5


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / ".work").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"cannot be written .*run the same command again"), make_work(tmp_path).hold():
        pass


def test_facts_are_there_for_people(tmp_path: Path):
    work = make_work(tmp_path)
    with work.hold():
        pass
    assert json.loads((work.path / "facts.json").read_text()) == {**FACTS, "fingerprint": work.fingerprint}
