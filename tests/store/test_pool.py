"""Pools: nothing is computed twice, nothing damaged or foreign is used, and runs at the same time share the work."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refdiff.errors import ShardCorruptError, ShardsFailedError, StoreError
from refdiff.store import photo_batches
from refdiff.store.console import print_summary
from refdiff.store.photo_batches import FILE, PhotoBatches, PhotoTask, read_tasks, write_tasks
from refdiff.store.pool import Pool
from refdiff.store.work import WorkFolder
from tests.store.toy_photos import (
    COLUMNS,
    GONE,
    check_items,
    computed_items,
    fill,
    make_engine,
    make_pool,
    make_row,
    make_tasks,
)

ROOT = Path(__file__).parents[2]


def shards_of(root: Path) -> list[Path]:
    return sorted(root.glob(".work/pool/*/*/photos/*/*.arrow"))


def start(root: Path, split: str, first: int, last: int, kind: str, seconds: float) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.toy_photos", str(root), split, str(first), str(last), kind, str(seconds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_items(root: Path, count: int) -> None:
    limit = time.monotonic() + 60
    while len(computed_items(root)) < count:
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    assert fill(tmp_path, make_tasks([1, 2, 3])) == 3
    assert fill(tmp_path, make_tasks([3, 4, 1]), "test") == 1
    assert [image for image, name in computed_items(tmp_path) if name == "a"].count(3) == 1
    assert len(computed_items(tmp_path)) == 8


def test_of_a_photo_only_the_missing_items_are_computed(tmp_path: Path) -> None:
    fill(tmp_path, make_tasks([7], "a"))
    fill(tmp_path, make_tasks([7], "ab"), "test")
    assert computed_items(tmp_path) == [(7, "a"), (7, "b")]


def test_a_photo_that_a_split_has_twice_is_computed_once(tmp_path: Path) -> None:
    (task,) = make_tasks([7], "a")
    tasks = [task, PhotoTask(8, "its copy", task.digest, task.items)]
    pool = make_pool(tmp_path)
    batches = PhotoBatches(tasks, Pool.open_shards(pool.path, COLUMNS))
    assert batches.missing(0) == [task]
    assert list(batches.run(iter([0]), lambda _: None, lambda *_: {key: make_row(7, "a") for key in task.items})) == [0]
    assert batches.is_done(0)


def test_other_facts_share_nothing(tmp_path: Path) -> None:
    fill(tmp_path, make_tasks([1]))
    assert fill(tmp_path, make_tasks([1]), "test", model="another") == 1


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("SHARD_PHOTOS", 4, 3), ("SHARD_SECONDS", 0.0, 10), ("SHARD_PHOTOS", 100, 1)],
)
def test_a_shard_ends_with_its_batch_or_by_photos_or_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, expected: int
) -> None:
    monkeypatch.setattr(photo_batches, name, value)
    fill(tmp_path, make_tasks(range(10), bucket="abc"))
    assert len(shards_of(tmp_path)) == expected
    assert fill(tmp_path, make_tasks(range(10), bucket="abc"), "test") == 0


def test_what_was_computed_of_a_batch_before_an_interruption_is_kept(tmp_path: Path) -> None:
    tasks, pool = make_tasks(range(9), bucket="abc"), make_pool(tmp_path)
    batches = PhotoBatches(tasks, Pool.open_shards(pool.path, COLUMNS))

    def compute(task: PhotoTask, loaded: int) -> dict[str, dict[str, object]]:
        if loaded == 5:
            raise KeyboardInterrupt
        return {key: make_row(task.image_index, name) for key, name in task.items.items()}

    with pytest.raises(KeyboardInterrupt):
        list(batches.run(iter([0]), lambda task: task.image_index, compute))
    assert [task.image_index for task in batches.missing(0)] == [5, 6, 7, 8]
    check_items(batches, tasks[:5])


@pytest.mark.parametrize("damage", ["flip", "tear", "lose", "flip the marker", "tear the marker", "lose the marker"])
def test_damaged_shards_are_computed_again(tmp_path: Path, damage: str) -> None:
    tasks = make_tasks(range(6))
    fill(tmp_path, tasks)
    data = shards_of(tmp_path)[1]
    file = next(data.parent.glob("*.json")) if "marker" in damage else data
    content = bytearray(file.read_bytes())
    if damage.startswith("flip"):
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage.startswith("tear"):
        file.write_bytes(content[:-9])
    else:
        file.unlink()
    assert fill(tmp_path, tasks, "test") == 1
    assert len(shards_of(tmp_path)) == 6


def test_half_written_files_go(tmp_path: Path) -> None:
    (task,) = make_tasks([1])
    folder = make_pool(tmp_path).path / "photos" / task.digest[:3]
    folder.mkdir(parents=True)
    for name in ("shard.arrow.partial", "unmarked.arrow", "x.json.partial"):
        (folder / name).write_text("half")
    fill(tmp_path, [task])
    assert sorted(path.suffix for path in folder.iterdir()) == ["", ".arrow", ".json"]


def test_an_error_of_one_photo_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    (tmp_path / f"{GONE}4").touch()
    with pytest.raises(ShardsFailedError, match=r"images 4\): photo 4 is gone"):
        fill(tmp_path, make_tasks(range(8)))
    (tmp_path / f"{GONE}4").unlink()
    assert fill(tmp_path, make_tasks(range(8))) == 1


def test_parts_leave_each_other_s_photos(tmp_path: Path) -> None:
    tasks = make_tasks(range(9))
    assert fill(tmp_path, tasks, engine=make_engine("serial", "1/2")) == 5
    assert fill(tmp_path, tasks, engine=make_engine("serial", "2/2")) == 4
    assert fill(tmp_path, tasks) == 0


@pytest.mark.parametrize("kind", ["serial", pytest.param("processes", marks=pytest.mark.slow)])
def test_two_splits_at_the_same_time_compute_each_photo_once(tmp_path: Path, kind: str) -> None:
    with start(tmp_path, "val", 0, 60, kind, 0.02) as one, start(tmp_path, "test", 20, 80, kind, 0.02) as two:
        said = [process.communicate(timeout=120) for process in (one, two)]
    assert [process.returncode for process in (one, two)] == [0, 0], said
    assert sorted(computed_items(tmp_path)) == [(image, name) for image in range(80) for name in "ab"]


def test_what_another_run_computes_is_waited_for_and_done_if_it_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start(tmp_path, "val", 0, 1, "serial", 0.0) as one:
        assert one.wait(timeout=60) == 0
    (tmp_path / "log").unlink()
    with start(tmp_path, "test", 1, 2, "serial", 60.0) as stuck:
        bucket = make_pool(tmp_path).path / "photos" / make_tasks([1])[0].digest[:3]
        while not (tmp_path / "runs").is_dir() or not (bucket / "lock").exists():
            time.sleep(0.01)
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill -9 {stuck.pid}"])
        assert fill(tmp_path, make_tasks([1])) == 1
        killer.wait()
    assert computed_items(tmp_path) == [(1, "a"), (1, "b")]
    assert "another run computes what is left; waiting for it" in capsys.readouterr().err


def test_a_killed_process_loses_its_unfinished_batch_alone(tmp_path: Path) -> None:
    with start(tmp_path, "val", 0, 20, "serial", 0.1) as process:
        wait_for_items(tmp_path, 10)
        process.kill()
    before = len(computed_items(tmp_path))
    assert fill(tmp_path, make_tasks(range(20))) in (20 - before // 2, 20 - before // 2 + 1)


@pytest.mark.slow
def test_workers_that_are_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    with start(tmp_path, "val", 0, 60, "processes", 0.05) as run:
        killed = 0
        for count in (10, 40, 80):
            wait_for_items(tmp_path, count)
            children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(children[-1]), signal.SIGKILL)
                killed += 1
        said = run.communicate(timeout=120)
    assert run.returncode == 0, said
    assert killed
    assert fill(tmp_path, make_tasks(range(60))) == 0


def test_pools_go_when_all_their_users_have_left(tmp_path: Path) -> None:
    def publish(user: str, model: str) -> Pool:
        pool = make_pool(tmp_path, model, user)
        pool.finish(user)
        return pool

    old, _ = publish("val", "old"), publish("test", "old")
    tried = make_pool(tmp_path, "tried")
    other_name = Pool(tmp_path, "stage", "masks-big", {"model": "old"}, COLUMNS)
    other_name.begin("val")
    other_name.finish("val")
    new = publish("val", "new")
    assert [pool.path.exists() for pool in (old, tried, new, other_name)] == [True, True, True, True]
    publish("test", "new")
    # `tried` was never published from: its work may still be wanted.
    assert [pool.path.exists() for pool in (old, tried, new, other_name)] == [False, True, True, True]


def test_an_item_that_was_never_asked_for_is_refused(tmp_path: Path) -> None:
    (task,) = make_tasks([1])
    batches = PhotoBatches([task], Pool.open_shards(make_pool(tmp_path).path, COLUMNS))
    with pytest.raises(ShardCorruptError, match="an item is gone; run the same command again"):
        batches.read(task, "nosuch")


def test_a_pool_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".work").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"cannot be written .*run the same command again"):
        make_pool(tmp_path)


def test_tasks_come_back_as_they_were_left(tmp_path: Path) -> None:
    tasks = make_tasks([3, 1])
    write_tasks(tmp_path, tasks, tmp_path / "pool")
    assert read_tasks(tmp_path) == tasks
    (tmp_path / FILE).write_text("[[1, 2]]")
    with pytest.raises(StoreError, match=r"photos.json: cannot be read"):
        read_tasks(tmp_path)


@pytest.mark.parametrize("place", ["bucket", "lock"])
def test_a_bucket_that_cannot_be_written_ends_the_run_with_one_line(tmp_path: Path, place: str) -> None:
    (task,) = make_tasks([1])
    bucket = make_pool(tmp_path).path / "photos" / task.digest[:3]
    if place == "bucket":
        bucket.parent.mkdir(parents=True)
        bucket.write_text("a file where a folder should be")
    else:
        (bucket / "lock").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot be written .*run the same command again"):
        fill(tmp_path, [task])


def test_info_of_a_work_folder_counts_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    tasks = make_tasks(range(5))
    fill(tmp_path, tasks[:2])
    work = WorkFolder(tmp_path, "propose_masks", "val-regions", {"stage": "propose_masks"})
    with work.hold(lambda: write_tasks(work.path, tasks, make_pool(tmp_path).path)):
        pass
    print_summary(str(work.path), as_json=False)
    said = capsys.readouterr().out
    assert f"{work.path / 'content'}: propose_masks, in the making\n  photos  2 of 5 are in the pool\n  files " in said
    fill(tmp_path, tasks)
    print_summary(str(work.path), as_json=True)
    assert json.loads(capsys.readouterr().out)["photos"] == [5, 5]
    (work.path / FILE).write_text('{"pool": "x", "photos": [[1e999, "a", "b", {}]]}')
    with pytest.raises(StoreError, match=r"photos\.json: cannot be read"):
        print_summary(str(work.path), as_json=False)
