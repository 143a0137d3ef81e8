"""All photos of a split through a source: what other splits or an interrupted run computed is taken from the pool."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
from joblib import Parallel, delayed

from refdiff import __version__
from refdiff.dataset.tables import Dataset
from refdiff.layout import SplitLayout
from refdiff.photo_content import digest_photos
from refdiff.prefetch import prefetch
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.settings import PhotoSourceSettings
from refdiff.proposals.source import Photo, PhotoSource
from refdiff.store.fingerprint import digest_files
from refdiff.store.pool import PhotoTask, Pool
from refdiff.store.pool_shards import Row

STAGE = "propose_masks"
COLUMNS = pa.schema([("counts", pa.list_(pa.binary())), ("confidence", pa.list_(pa.float32()))])

# Their versions may move masks, so they are part of what a pool is; those of a model are in its source's identity.
LIBRARIES = ("numpy", "pillow", "pycocotools")

# The model is known by its digest. A smaller batch moves last bits at most, and is what a run that ended for want of
# memory goes on with.
LEFT_OUT = {"model", "revision", "points_per_batch"}


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A source with the row of `sources` that it was opened by.

    Attributes:
        name: The row's name.
        settings: The row.
        source: The source.
    """

    name: str
    settings: PhotoSourceSettings
    source: PhotoSource


@dataclass(frozen=True, slots=True)
class ProposedSplit:
    """What was made.

    Attributes:
        parts: Unfiltered proposals of each photo, in the order of the photos.
        computed: For how many photos they were computed now.
        finish: To be called once the artifact is written: what is of no more use may then go.
    """

    parts: list[Proposals]
    computed: int
    finish: Callable[[], None]


def propose_split(
    layout: SplitLayout, dataset: Dataset, named: NamedSource, workers: int, report: Callable[[int], None]
) -> ProposedSplit:
    """Unfiltered proposals of each photo; the same for any number of workers and whatever the pool holds.

    Args:
        layout: The split's artifacts.
        dataset: The split.
        named: Where masks come from. Masks of a source that reads more than the photo (`truth`, `file`) are made anew:
            that takes no time, and they are not the same in another split.
        workers: Processes, where the source may run in several.
        report: Called with how many photos are done.

    Raises:
        ImageError: A photo does not decode, or its size is another than the dataset's.
        DatasetError: A mask of a file does not fit its photo.
        StoreError: The pool cannot be written.
    """
    photos = list_photos(dataset, layout.root)
    if not named.source.of_pixels:
        parts = []
        for part in propose_photos(photos, named.source, workers):
            parts.append(part)
            report(len(parts))
        return ProposedSplit(parts, len(parts), lambda: None)
    digests = digest_photos(layout.root, dataset.images.path)
    photos = [replace(photo, digest=digest) for photo, digest in zip(photos, digests, strict=True)]
    pool, user = Pool(layout.root, STAGE, named.name, gather_facts(named), COLUMNS), f"{layout.split}-{named.name}"
    pool.begin(user)

    def compute(tasks: Sequence[PhotoTask]) -> Iterator[Mapping[str, Row]]:
        wanted = [photos[task.image_index] for task in tasks]
        for task, made in zip(tasks, propose_photos(wanted, named.source, workers), strict=True):
            yield {key: {"counts": made.counts, "confidence": made.confidence} for key in task.items}

    tasks = [PhotoTask(index, {digest: None}) for index, digest in enumerate(digests)]
    computed = pool.fill(tasks, compute, report)
    parts = [_read(pool, photo, digest) for photo, digest in zip(photos, digests, strict=True)]
    return ProposedSplit(parts, computed, partial(pool.finish, user))


def propose_photos(photos: Sequence[Photo], source: PhotoSource, workers: int) -> Iterator[Proposals]:
    """Unfiltered proposals of each photo, in order.

    A source that runs in this process gets photos that were read ahead of it.
    """
    if not source.of_pixels:
        yield from map(source.propose, photos)
    elif workers == 1 or not source.in_parallel or len(photos) < 2:
        for photo, rgb in prefetch(photos, Photo.pixels):
            yield source.propose(replace(photo, rgb=rgb))
    else:
        pool = Parallel(n_jobs=min(workers, len(photos)), return_as="generator")
        made: Any = pool(delayed(source.propose)(photo) for photo in photos)
        yield from made


def list_photos(dataset: Dataset, root: Path) -> list[Photo]:
    """The photos of a split, not yet read."""
    images = dataset.images
    return [
        # Absolute, since a worker that was started earlier may be in another folder.
        Photo(image_id, int(height), int(width), (root / path).absolute())
        for image_id, path, height, width in zip(images.image_id, images.path, images.height, images.width, strict=True)
    ]


def gather_facts(named: NamedSource) -> dict[str, Any]:
    """Everything beside the photo that unfiltered masks depend on."""
    package = Path(__file__).parents[1]
    code = [*sorted(Path(__file__).parent.glob("*.py")), package / "photo.py", package / "rle.py"]
    return {
        "stage": STAGE,
        "parameters": named.settings.model_dump(mode="json", exclude=LEFT_OUT),
        "made_by": named.source.identity(),
        "versions": {"refdiff": __version__, **{library: version(library) for library in LIBRARIES}},
        "code": digest_files(code, package),
    }


def _read(pool: Pool, photo: Photo, key: str) -> Proposals:
    item = pool.read(key)
    confidence = item["confidence"].values.to_numpy(zero_copy_only=False)
    return of_codes(item["counts"].as_py(), photo.height, photo.width, confidence=confidence)
