"""The image work of CLIP, photo by photo, through the pool that all splits and sources share.

An item is one view of all of a photo's proposals in one position variant. Its key is a digest of the photo's bytes, of
the proposals' masks in their order, of the view and of the variant.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
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
from refdiff.errors import MaskError, ModelError, ShardCorruptError
from refdiff.finite import check_finite
from refdiff.model_identity import ModelIdentity
from refdiff.photo_content import read_listed_photo
from refdiff.source_code import NEUTRAL, StageCode
from refdiff.store.fingerprint import digest_facts
from refdiff.store.photo_batches import PhotoBatches, PhotoTask
from refdiff.store.pool_shards import Row

STAGE = "embed_clip"

# From a photo and its masks to their views in the pool. The store of a split is put together from what is read from it;
# who writes the store counts for the store (see `refdiff.clip.job`).
CODE = StageCode("clip/job.py", NEUTRAL | {"clip/shard_maker.py", "clip/store_writer.py", "store/manifest.py"})
COLUMNS = pa.schema([("embeddings", pa.large_list(pa.float32()))])
DECODED_PIXELS = 1 << 25  # a photo's masks that stay decoded: 32 MB of booleans

# Their versions may move values, so they are part of what a result is.
LIBRARIES = ("torch", "open_clip_torch", "pillow", "numpy", "pycocotools")

# Names of the model, which its digest stands for; sizes of batches, which move last bits at most, and which a run that
# ended for want of memory goes on with; and what decides which items there are, or how they are published.
RAMPS = {"local_ramps", "global_ramps"}
LEFT_OUT = {"model", "pretrained", "device", "batch_tokens", "class_tokens", "text_batch", "rows_per_file", *RAMPS}


class PhotoPool:
    """The views of a split's photos.

    Args:
        inputs: Tables of the split.
        tasks: What is embedded of each photo, by `list_tasks`.
        batches: Where items are.
    """

    def __init__(self, inputs: SplitInputs, tasks: Sequence[PhotoTask], batches: PhotoBatches) -> None:
        self._inputs = inputs
        self._tasks = tasks
        self._batches = batches

    def read(self, image_index: int, view: str, variant: str) -> NDArray[np.float32]:
        """Embeddings of all of a photo's proposals, `[n dim]`.

        Raises:
            ShardCorruptError: They are not there, not as many as the proposals, or not finite.
        """
        task = self._tasks[image_index]
        key = next(key for key, item in task.items.items() if item == [view, variant])
        values, count = self._batches.read(task, key)["embeddings"].values, len(_counts(self._inputs, image_index))
        if values is None or len(values) % count:
            raise ShardCorruptError(
                f"photo {task.image_id}: its {view} views in the pool are not of its {count} proposals; remove .work "
                "and run the same command again"
            )
        embeddings = values.to_numpy().reshape(count, -1)
        check_finite(
            embeddings,
            lambda row: f"photo {task.image_id}: {view} view of its proposal {row} in the pool",
            "remove .work and run the same command again",
        )
        return embeddings


class PhotoEmbedder:
    """Computes the views of photos.

    Args:
        inputs: Tables of the split.
        embedder: The loaded model.
    """

    def __init__(self, inputs: SplitInputs, embedder: ClipEmbedder) -> None:
        self._inputs = inputs
        self._embedder = embedder

    def load(self, task: PhotoTask) -> tuple[NDArray[np.uint8], MaskStack]:
        """A photo and its masks: decoded when they are few, else to be decoded slice by slice.

        Raises:
            ImageError: The photo cannot be read, has another size than the dataset says, or was exchanged.
        """
        images, index = self._inputs.dataset.images, task.image_index
        height, width, path = int(images.height[index]), int(images.width[index]), images.path[index]
        where = f"photo {images.image_id[index]} ({path})"
        photo = read_listed_photo(self._inputs.root / path, where, (height, width), task.digest)
        coded = CodedMasks(_counts(self._inputs, index), height, width)
        return photo, coded[:] if coded.shape[0] * height * width <= DECODED_PIXELS else coded

    def embed(self, task: PhotoTask, loaded: tuple[NDArray[np.uint8], MaskStack]) -> Mapping[str, Row]:
        """A row for each of the task's keys.

        Raises:
            MaskError: A mask is empty or does not fit its photo.
            ModelError: An embedding is not finite.
        """
        photo, masks = loaded
        views = {"local": self._embedder.embed_local, "global": self._embedder.embed_global}
        try:
            made = {key: views[view](photo, masks, variant) for key, (view, variant) in task.items.items()}
        except (MaskError, ModelError) as error:
            raise type(error)(f"photo {task.image_id}: of its proposals, {error}") from error
        return {key: {"embeddings": values.ravel()} for key, values in made.items()}


def list_tasks(inputs: SplitInputs, plan: EmbeddingPlan) -> list[PhotoTask]:
    """What is embedded of each photo; nothing where it has no proposals.

    Args:
        inputs: Tables of the split.
        plan: What is embedded.
    """
    images = inputs.dataset.images
    masks = cache(lambda image: digest_facts([code.decode("ascii") for code in _counts(inputs, image)]))
    items: list[dict[str, list[str]]] = [{} for _ in images.sha256]
    for view in VIEWS:
        for image_index, variant in plan.views[view].used():
            key = digest_facts([images.sha256[image_index], masks(image_index), view, variant])
            items[image_index][key] = [view, variant]
    return [
        PhotoTask(index, image_id, digest, items[index])
        for index, (image_id, digest) in enumerate(zip(images.image_id, images.sha256, strict=True))
    ]


def _counts(inputs: SplitInputs, image_index: int) -> list[bytes]:
    rows = inputs.proposals.rows_of_image(image_index)
    return inputs.proposals.counts[rows.start : rows.stop]


def gather_facts(settings: ClipSettings, identity: ModelIdentity) -> dict[str, Any]:
    """Everything that an item depends on beside its key."""
    return {
        "stage": STAGE,
        "parameters": settings.model_dump(mode="json", exclude=LEFT_OUT),
        "model": identity.describe(),
        "device": choose_device(settings.device).type,
        "versions": {"refdiff": __version__, **{library: version(library) for library in LIBRARIES}},
        "code": CODE.digest(),
    }
