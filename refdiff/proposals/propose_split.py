"""All photos of a split through a source: what other splits or an interrupted run computed is taken from the pool."""

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refdiff.dataset.tables import Dataset
from refdiff.device import choose_device, describe_device
from refdiff.engine.accelerators import take_accelerator
from refdiff.engine.photos import Report, compute_photos
from refdiff.engine.settings import SERIAL, Engine
from refdiff.errors import StoreError
from refdiff.layout import SplitLayout
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.job import COLUMNS, STAGE, ProposeJob, gather_facts, list_photos
from refdiff.proposals.settings import PhotoSourceSettings, SamSettings
from refdiff.proposals.source import Photo, PhotoSource
from refdiff.proposals.split_opening import open_split_source
from refdiff.store.fingerprint import digest_facts
from refdiff.store.hold import empty_folder, hold_folder
from refdiff.store.photo_batches import PhotoBatches, PhotoTask, write_tasks
from refdiff.store.pool import Pool
from refdiff.store.work import WorkFolder


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A row of `sources`.

    Attributes:
        name: Its name.
        settings: What it says.
        device: Where a model runs.
    """

    name: str
    settings: PhotoSourceSettings
    device: str


@dataclass(frozen=True, slots=True)
class ProposedSplit:
    """What was made.

    Attributes:
        parts: Unfiltered proposals of each photo, in the order of the photos; None where the run computed a part of the
            photos only.
        made_by: What beside the parameters decides the masks, for the provenance.
        computed: Photos whose masks were not there when the run began.
        missing: Photos whose masks are not there: other parts of the same split.
        finish: To be called once the artifact is written: what is of no more use may then go.
    """

    parts: list[Proposals] | None
    made_by: dict[str, object]
    computed: int
    missing: int
    finish: Callable[[], None]


def propose_split(
    layout: SplitLayout, dataset: Dataset, named: NamedSource, report: Report, engine: Engine = SERIAL
) -> ProposedSplit:
    """Unfiltered proposals of each photo; the same for any engine and whatever the pool holds.

    Args:
        layout: The split's artifacts.
        dataset: The split.
        named: Where masks come from. Masks of a source that reads more than the photo (`truth`, `file`) are made anew,
            in this process: that takes no time, and they are not the same in another split.
        report: Told of progress, from one thread or another, never from two at once.
        engine: Who computes, and which part of the photos.

    Raises:
        ShardsFailedError: Some photos could not be read or computed; the others are done.
        RefdiffError: Input, model or parameters do not fit, or something cannot be written; what was computed stays.
    """
    if engine.settings.kind == "serial":  # before torch looks for its devices
        take_accelerator(engine.settings.accelerators)
    source = open_split_source(named.settings, named.device, layout.split, dataset)
    if isinstance(named.settings, SamSettings):
        device = describe_device(choose_device(named.device), named.settings.dtype)
        print(f"{STAGE} {layout.split} {named.name}: on {device}", file=sys.stderr)
    if not source.of_pixels:
        parts = [source.propose(photo) for photo in list_photos(dataset, layout.root)]
        report(len(parts), len(parts))
        return ProposedSplit(parts if engine.is_whole else None, source.identity(), len(parts), 0, lambda: None)
    return _propose_by_pixels(layout, dataset, named, source, report, engine)


def _propose_by_pixels(
    layout: SplitLayout, dataset: Dataset, named: NamedSource, source: PhotoSource, report: Report, engine: Engine
) -> ProposedSplit:
    """Through the pool, by the engine."""
    images = dataset.images
    tasks = [
        PhotoTask(index, image_id, digest, {digest: None})
        for index, (image_id, digest) in enumerate(zip(images.image_id, images.sha256, strict=True))
    ]
    facts, user = gather_facts(named.settings, source), f"{layout.split}-{named.name}"
    pool = Pool(layout.root, STAGE, named.name, facts, COLUMNS)
    inputs = {"photos": digest_facts([[task.image_id, task.digest] for task in tasks])}
    work = WorkFolder(layout.root, STAGE, user, {**facts, "inputs": inputs})
    job = ProposeJob(
        work.path.absolute(),
        pool.path.absolute(),
        layout.root.absolute(),
        Path.cwd(),
        layout.split,
        named.settings,
        named.device,
    )
    batches = PhotoBatches(tasks, Pool.open_shards(pool.path, COLUMNS))
    with work.hold(lambda: write_tasks(work.path, tasks, pool.path), shared=not engine.is_whole):
        pool.begin(user)
        computed = compute_photos(job, batches, engine, report)
        missing = sum(len(batches.missing(batch)) for batch in range(len(batches)))
        parts = None
        if engine.is_whole:
            photos = list_photos(dataset, layout.root)
            parts = [_read(batches, task, photo) for task, photo in zip(tasks, photos, strict=True)]
    return ProposedSplit(parts, source.identity(), computed, missing, partial(_finish, pool, work, user))


def _read(batches: PhotoBatches, task: PhotoTask, photo: Photo) -> Proposals:
    item = batches.read(task, task.digest)
    confidence = item["confidence"].values.to_numpy(zero_copy_only=False)
    return of_codes(item["counts"].as_py(), photo.height, photo.width, confidence=confidence)


def _finish(pool: Pool, work: WorkFolder, user: str) -> None:
    """Let go of the pool, and of work folders of other photos or parameters, which hold no results."""
    pool.finish(user)
    for other in work.path.parent.glob(f"{user}-{'[0-9a-f]' * 20}"):
        if other != work.path:
            # Held by another run, or of another person's: it is not this run's concern.
            with suppress(StoreError, OSError), hold_folder(other, wait=False):
                empty_folder(other)
