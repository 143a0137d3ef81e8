"""Pools: nothing is computed twice, nothing damaged or foreign is used, and two processes share the work."""

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from refdiff.errors import ShardCorruptError, StoreError
from refdiff.store import pool as pool_module
from refdiff.store.pool import PhotoTask, Pool
from refdiff.store.pool_shards import Row

COLUMNS = pa.schema([("value", pa.int64()), ("codes", pa.list_(pa.binary()))])
FACTS = {"model": "digest"}


def make_pool(root: Path, **changes: str) -> Pool:
    pool = Pool(root, "stage", "masks", {**FACTS, **changes}, COLUMNS)
    pool.begin("val")
    return pool


def make_tasks(*images: int) -> list[PhotoTask]:
    """Two items for each photo."""
    return [PhotoTask(image, {_key(image, name): name for name in "ab"}) for image in images]


def _key(image: int, name: str) -> str:
    return hashlib.sha256(f"{image}{name}".encode()).hexdigest()


class Computer:
    """Computes items, and keeps what it was asked for; `stop_at` fails at this photo."""

    def __init__(self, stop_at: int | None = None, error: BaseException | None = None) -> None:
        self.asked: list[tuple[int, str]] = []
        self._stop_at, self._error = stop_at, error or KeyboardInterrupt()

    def __call__(self, tasks: Sequence[PhotoTask]) -> Iterator[Mapping[str, Row]]:
        for task in tasks:
            if task.image_index == self._stop_at:
                raise self._error
            self.asked += [(task.image_index, name) for name in task.items.values()]
            yield {key: _row(task.image_index, name) for key, name in task.items.items()}


def _row(image: int, name: str) -> Row:
    return {"value": image, "codes": [name.encode()] * image}


def fill(pool: Pool, tasks: list[PhotoTask], computer: Computer) -> int:
    seen: list[int] = []
    computed = pool.fill(tasks, computer, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(tasks)
    for task in tasks:
        for key, name in task.items.items():
            item = pool.read(key)
            assert item["value"].as_py() == task.image_index
            assert item["codes"].as_py() == [name.encode()] * task.image_index
    return computed


def shards_of(pool: Pool) -> list[Path]:
    return sorted((pool.path / "shards").glob("*.arrow"))


def test_what_is_there_is_not_computed_again(tmp_path: Path) -> None:
    computer = Computer()
    assert fill(make_pool(tmp_path), make_tasks(1, 2, 3), computer) == 3
    assert fill(make_pool(tmp_path), make_tasks(3, 4, 1), computer) == 1
    assert [image for image, name in computer.asked if name == "a"] == [1, 2, 3, 4]


def test_of_a_photo_only_the_missing_items_are_computed(tmp_path: Path) -> None:
    computer, (task,) = Computer(), make_tasks(7)
    first = next(iter(task.items))
    fill(make_pool(tmp_path), [PhotoTask(7, {first: "a"})], computer)
    fill(make_pool(tmp_path), [task], computer)
    assert computer.asked == [(7, "a"), (7, "b")]


def test_other_facts_share_nothing(tmp_path: Path) -> None:
    fill(make_pool(tmp_path), make_tasks(1), Computer())
    assert fill(make_pool(tmp_path, model="another"), make_tasks(1), Computer()) == 1


def test_what_was_computed_before_an_interruption_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        make_pool(tmp_path).fill(make_tasks(*range(9)), Computer(stop_at=5), lambda _: None)
    again = Computer()
    assert fill(make_pool(tmp_path), make_tasks(*range(9)), again) == 4
    assert {image for image, _ in again.asked} == {5, 6, 7, 8}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("SHARD_PHOTOS", 4, 3), ("SHARD_SECONDS", 0.0, 10), ("SHARD_PHOTOS", 100, 1)],
)
def test_a_shard_ends_by_photos_or_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, expected: int
) -> None:
    monkeypatch.setattr(pool_module, name, value)
    pool = make_pool(tmp_path)
    fill(pool, make_tasks(*range(10)), Computer())
    assert len(shards_of(pool)) == expected


@pytest.mark.parametrize("damage", ["flip", "tear", "lose", "marker"])
def test_damaged_shards_are_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setattr(pool_module, "SHARD_PHOTOS", 2)
    pool = make_pool(tmp_path)
    fill(pool, make_tasks(*range(6)), Computer())
    shard = shards_of(pool)[1]
    content = bytearray(shard.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    elif damage == "tear":
        shard.write_bytes(content[:-9])
    elif damage == "lose":
        shard.unlink()
    else:
        shard.with_suffix(".json").write_text('{"keys": [[')
    assert fill(make_pool(tmp_path), make_tasks(*range(6)), Computer()) == 2
    assert len(shards_of(pool)) == 3


def test_half_written_files_go(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    for name in ("half.partial", "unmarked.arrow", "x.json.partial"):
        (pool.path / "shards" / name).write_text("half")
    fill(pool, make_tasks(1), Computer())
    assert sorted(path.suffix for path in (pool.path / "shards").iterdir()) == [".arrow", ".json"]


def test_two_at_once_compute_each_photo_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started, gate = threading.Event(), threading.Event()

    class Slow(Computer):
        def __call__(self, tasks: Sequence[PhotoTask]) -> Iterator[Mapping[str, Row]]:
            started.set()
            assert gate.wait(20)
            yield from super().__call__(tasks)

    slow, fast = Slow(), Computer()
    other = threading.Thread(target=fill, args=(make_pool(tmp_path), make_tasks(1, 2, 3), slow))
    other.start()
    assert started.wait(20)
    threading.Timer(0.3, gate.set).start()
    assert fill(make_pool(tmp_path), make_tasks(3, 4, 5), fast) == 2
    other.join()
    assert sorted({image for image, _ in slow.asked}) == [1, 2, 3]
    assert sorted({image for image, _ in fast.asked}) == [4, 5]
    assert "is computing what is wanted here; waiting for it" in capsys.readouterr().err
    assert not list((make_pool(tmp_path).path / "claims").glob("*.json"))


KILLED = """
import sys, time
from pathlib import Path
from refdiff.store import pool as module
from tests.store.test_pool import Computer, make_pool, make_tasks
module.SHARD_PHOTOS = 2
class Stuck(Computer):
    def __call__(self, tasks):
        for made in super().__call__(tasks):
            if tasks[0].image_index == 4:
                print("stuck", flush=True)
                time.sleep(60)
            yield made
make_pool(Path(sys.argv[1])).fill(make_tasks(*range(8)), Stuck(), lambda _: None)
"""


def test_a_killed_process_loses_its_unfinished_shard_alone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        process.kill()
    before, again = time.monotonic(), Computer()
    assert fill(make_pool(tmp_path), make_tasks(*range(8)), again) == 4
    assert time.monotonic() - before < 10  # the dead process's claim holds nobody up
    assert {image for image, _ in again.asked} == {4, 5, 6, 7}


SHARING = """
import sys, time
from pathlib import Path
from refdiff.store import pool as module
from tests.store.test_pool import Computer, make_pool, make_tasks
module.SHARD_PHOTOS = 3
class Slow(Computer):
    def __call__(self, tasks):
        for made in super().__call__(tasks):
            time.sleep(0.01)
            yield made
computer = Slow()
print("ready", flush=True)
sys.stdin.readline()
make_pool(Path(sys.argv[1])).fill(make_tasks(*eval(sys.argv[2])), computer, lambda _: None)
print(sorted({image for image, _ in computer.asked}))
"""


def test_two_processes_share_the_work_and_mix_nothing(tmp_path: Path) -> None:
    wanted = ("range(24)", "range(10, 30)")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARING, str(tmp_path), images],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for images in wanted
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    said = [process.communicate("go\n", timeout=60)[0] for process in processes]
    computed = [image for line in said for image in json.loads(line)]
    assert sorted(computed) == list(range(30))
    assert fill(make_pool(tmp_path), make_tasks(*range(30)), Computer()) == 0


def test_pools_go_when_all_their_users_have_left(tmp_path: Path) -> None:
    def publish(user: str, model: str) -> Pool:
        pool = Pool(tmp_path, "stage", "masks", {"model": model}, COLUMNS)
        pool.begin(user)
        fill(pool, make_tasks(1), Computer())
        pool.finish(user)
        return pool

    old, _ = publish("val", "old"), publish("test", "old")
    tried = Pool(tmp_path, "stage", "masks", {"model": "tried"}, COLUMNS)
    tried.begin("val")
    other_name = Pool(tmp_path, "stage", "masks-big", {"model": "old"}, COLUMNS)
    other_name.begin("val")
    other_name.finish("val")
    new = publish("val", "new")
    assert [pool.path.exists() for pool in (old, tried, new, other_name)] == [True, True, True, True]
    publish("test", "new")
    # `tried` was never published from: its work may still be wanted.
    assert [pool.path.exists() for pool in (old, tried, new, other_name)] == [False, True, True, True]


def test_an_item_that_was_never_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardCorruptError, match="an item is gone; run the same command again"):
        make_pool(tmp_path).read("nosuch")


def test_a_pool_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / ".work").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"cannot be written .*run the same command again"):
        make_pool(tmp_path)
