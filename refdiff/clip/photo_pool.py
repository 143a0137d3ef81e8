"""The image work of CLIP, photo by photo, through the pool that all splits and sources share.

An item is one view of all of a photo's proposals in one position variant. Its key is a digest of the photo's bytes, of
the proposals' masks in their order, of the view and of the variant.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from refdiff import __version__
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.mask_stack import CodedMasks, MaskStack
from refdiff.clip.plan import VIEWS, EmbeddingPlan, SplitInputs
from refdiff.clip.settings import ClipSettings
from refdiff.device import choose_device
from refdiff.errors import MaskError
from refdiff.model_identity import ModelIdentity
from refdiff.photo_content import read_listed_photo
from refdiff.prefetch import prefetch
from refdiff.store.fingerprint import digest_facts, digest_files
from refdiff.store.pool import PhotoTask, Pool
from refdiff.store.pool_shards import Row

STAGE = "embed_clip"
COLUMNS = pa.schema([("embeddings", pa.large_list(pa.float32()))])
DECODED_PIXELS = 1 << 25  # a photo's masks that stay decoded: 32 MB of booleans

# Their versions may move values, so they are part of what a result is.
LIBRARIES = ("torch", "open_clip_torch", "pillow", "numpy", "pycocotools")

# Names of the model, which its digest stands for; sizes of batches, which move last bits at most, and which a run that
# ended for want of memory goes on with; and what decides which items there are, or how they are published.
RAMPS = {"local_ramps", "global_ramps"}
LEFT_OUT = {"model", "pretrained", "device", "batch_tokens", "class_tokens", "text_batch", "rows_per_file", *RAMPS}

Item = tuple[str, str]
"""View and variant."""


class PhotoPool:
    """The views of a split's photos.

    Args:
        inputs: Tables of the split.
        plan: What is embedded.
        digests: SHA-256 of each photo's bytes.
        pool: Where items are kept.
    """

    def __init__(self, inputs: SplitInputs, plan: EmbeddingPlan, digests: Sequence[str], pool: Pool) -> None:
        self._inputs = inputs
        self._digests = digests
        self._pool = pool
        self._keys: list[dict[Item, str]] = [{} for _ in digests]
        for view in VIEWS:
            for image_index, variant in plan.views[view].used():
                self._keys[image_index][view, variant] = ""
        for image_index, items in enumerate(self._keys):
            masks = digest_facts([code.decode("ascii") for code in self._counts(image_index)]) if items else ""
            for view, variant in items:
                items[view, variant] = digest_facts([digests[image_index], masks, view, variant])

    def fill(self, embedder: Callable[[], ClipEmbedder], report: Callable[[int, int], None]) -> int:
        """Embed what is not there; the model is asked for when something is missing only.

        Args:
            embedder: Gives the loaded model.
            report: Called with how many photos are done, of how many that have proposals.

        Returns:
            How many photos something was computed for.

        Raises:
            ImageError: A photo cannot be read, has another size than the dataset says, or was exchanged.
            MaskError: A mask is empty or does not fit its photo.
            StoreError: The pool cannot be written.
        """
        tasks = [
            PhotoTask(image_index, {key: item for item, key in items.items()})
            for image_index, items in enumerate(self._keys)
            if items
        ]
        return self._pool.fill(
            tasks, lambda missing: self._embed(missing, embedder()), lambda done: report(done, len(tasks))
        )

    def read(self, image_index: int, view: str, variant: str) -> NDArray[np.float32]:
        """Embeddings of all of a photo's proposals, `[n dim]`."""
        values = self._pool.read(self._keys[image_index][view, variant])["embeddings"].values
        count = len(self._counts(image_index))
        return values.to_numpy().reshape(count, -1)

    def _embed(self, tasks: Sequence[PhotoTask], embedder: ClipEmbedder) -> Iterator[Mapping[str, Row]]:
        for task, (photo, masks) in prefetch(tasks, self._load):
            views = {"local": embedder.embed_local, "global": embedder.embed_global}
            try:
                made = {key: views[view](photo, masks, variant) for key, (view, variant) in task.items.items()}
            except MaskError as error:
                image_id = self._inputs.dataset.images.image_id[task.image_index]
                raise MaskError(f"photo {image_id}: of its proposals, {error}") from error
            yield {key: {"embeddings": values.ravel()} for key, values in made.items()}

    def _load(self, task: PhotoTask) -> tuple[NDArray[np.uint8], MaskStack]:
        """A photo and its masks: decoded when they are few, else to be decoded slice by slice."""
        images, index = self._inputs.dataset.images, task.image_index
        height, width, path = int(images.height[index]), int(images.width[index]), images.path[index]
        where = f"photo {images.image_id[index]} ({path})"
        photo = read_listed_photo(self._inputs.root / path, where, (height, width), self._digests[index])
        coded = CodedMasks(self._counts(index), height, width)
        return photo, coded[:] if coded.shape[0] * height * width <= DECODED_PIXELS else coded

    def _counts(self, image_index: int) -> list[bytes]:
        rows = self._inputs.proposals.rows_of_image(image_index)
        return self._inputs.proposals.counts[rows.start : rows.stop]


def gather_facts(settings: ClipSettings, identity: ModelIdentity) -> dict[str, Any]:
    """Everything that an item depends on beside its key."""
    package = Path(__file__).parents[1]
    code = [*sorted(Path(__file__).parent.glob("*.py")), package / "photo.py", package / "rle.py"]
    return {
        "stage": STAGE,
        "parameters": settings.model_dump(mode="json", exclude=LEFT_OUT),
        "model": identity.describe(),
        "device": choose_device(settings.device).type,
        "versions": {"refdiff": __version__, **{library: version(library) for library in LIBRARIES}},
        "code": digest_files(code, package),
    }
