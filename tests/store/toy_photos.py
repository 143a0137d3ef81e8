"""A job of numbered photos whose results go into a real pool, and a command that runs it.

`python -m tests.store.toy_photos ROOT SPLIT FIRST LAST KIND SECONDS` runs one and prints what it says it computed.
"""

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from refdiff.command import run_command
from refdiff.engine.photos import PhotoJob, compute_photos
from refdiff.engine.settings import SERIAL, Engine, EngineSettings, Kind, Part
from refdiff.errors import DatasetError
from refdiff.store.photo_batches import PhotoBatches, PhotoTask, write_tasks
from refdiff.store.pool import Pool
from refdiff.store.pool_shards import Row

COLUMNS = pa.schema([("value", pa.int64()), ("codes", pa.list_(pa.binary()))])
GONE = "gone-"


@dataclass(frozen=True, slots=True)
class ToyJob(PhotoJob):
    """Computes items, and writes down each that it computes.

    Attributes:
        log: A line for each item, of every process.
        seconds: That a photo takes.
    """

    log: Path
    seconds: float

    columns: ClassVar[pa.Schema] = COLUMNS

    def start(self) -> "ToyRunner":
        return ToyRunner(self)


class ToyRunner:
    def __init__(self, job: ToyJob) -> None:
        self._job = job

    def run(self, shards: Iterator[int]) -> Iterator[int]:
        return self._job.batches.run(shards, self._load, self._compute)

    def _load(self, task: PhotoTask) -> int:
        if (self._job.log.parent / f"{GONE}{task.image_id}").exists():
            raise DatasetError(f"photo {task.image_id} is gone")
        return task.image_index

    def _compute(self, task: PhotoTask, image: int) -> Mapping[str, Row]:
        time.sleep(self._job.seconds)
        with self._job.log.open("a") as log:
            log.writelines(f"{json.dumps([image, name])}\n" for name in task.items.values())
        return {key: make_row(image, name) for key, name in task.items.items()}


def make_row(image: int, name: str) -> dict[str, Any]:
    return {"value": image, "codes": [name.encode()] * (image % 7)}


def make_tasks(images: Sequence[int], names: str = "ab", bucket: str | None = None) -> list[PhotoTask]:
    """Photos with an item for each name; a photo's index is its number in every split. `bucket` puts all in one."""
    digests = [hashlib.sha256(str(image).encode()).hexdigest() for image in images]
    return [
        PhotoTask(image, str(image), (bucket or "") + digest, {f"{digest}{name}": name for name in names})
        for image, digest in zip(images, digests, strict=True)
    ]


def make_pool(root: Path, model: str = "digest", user: str = "val") -> Pool:
    pool = Pool(root, "stage", "masks", {"model": model}, COLUMNS)
    pool.begin(user)
    return pool


def make_engine(kind: Kind, part: str = "1/1") -> Engine:
    # More attempts than a test kills workers: all kills may hit the same batch.
    settings = EngineSettings(kind=kind, workers=2, address=None, accelerators=(), attempts=5)
    return Engine(settings, Part.parse(part))


def fill(
    root: Path,
    tasks: list[PhotoTask],
    split: str = "val",
    engine: Engine = SERIAL,
    seconds: float = 0.0,
    model: str = "digest",
) -> int:
    """Run the job, and check every item that the run is to leave; for how many photos it says that it computed."""
    pool, folder = make_pool(root, model, split), root / "runs" / f"{split}-{len(tasks)}-{tasks[0].digest[:9]}"
    folder.mkdir(parents=True, exist_ok=True)
    write_tasks(folder, tasks, pool.path)
    batches = PhotoBatches(tasks, Pool.open_shards(pool.path, COLUMNS))
    seen: list[int] = []
    job = ToyJob(folder, pool.path, root / "log", seconds)
    computed = compute_photos(job, batches, engine, lambda done, _: seen.append(done))
    assert seen == sorted(seen)
    if engine.is_whole:
        check_items(batches, tasks)
    return computed


def check_items(batches: PhotoBatches, tasks: Sequence[PhotoTask]) -> None:
    for task in tasks:
        for key, name in task.items.items():
            item = batches.read(task, key)
            assert {column: value.as_py() for column, value in item.items()} == make_row(task.image_index, name)


def computed_items(root: Path) -> list[tuple[int, str]]:
    """Every item that was computed, by whichever process."""
    log = root / "log"
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def main() -> None:
    root, split, first, last, kind, seconds = sys.argv[1:]
    tasks = make_tasks(range(int(first), int(last)))
    print(fill(Path(root), tasks, split, make_engine(kind), float(seconds)))  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    run_command(main)
