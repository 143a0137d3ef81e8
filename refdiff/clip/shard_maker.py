"""Computing and writing one unit of a store: the texts, or one file of views."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.mask_stack import CodedMasks, MaskStack
from refdiff.clip.plan import VIEWS, EmbeddingPlan, PlannedShard, SplitInputs
from refdiff.clip.store import METADATA
from refdiff.clip.store_writer import chunk_file, create_array, list_files, write_array, write_rows
from refdiff.clip.view_rows import Segment
from refdiff.errors import ImageError, MaskError
from refdiff.photo import read_photo

DECODED_PIXELS = 1 << 25  # a photo's masks that stay decoded: 32 MB of booleans
SMALL_ARRAYS = ("sentence_row", "root_row", "subject_row", "proposals", "local_start", "global_start")


class ShardMaker:
    """Makes the units of a plan in a folder.

    Args:
        inputs: Tables of the split.
        plan: What is embedded.
        embedder: The model.
        rows_per_file: Embeddings in one file.
        content: The folder of the store's arrays.
    """

    def __init__(
        self, inputs: SplitInputs, plan: EmbeddingPlan, embedder: ClipEmbedder, rows_per_file: int, content: Path
    ) -> None:
        self._inputs = inputs
        self._plan = plan
        self._embedder = embedder
        self._rows_per_file = rows_per_file
        self._content = content

    def make(self, shard: PlannedShard, report: Callable[[int], None]) -> list[str]:
        """Compute and write a unit.

        Args:
            shard: Which.
            report: Called with how many of its embeddings are computed.

        Returns:
            Its files, relative to the content folder.

        Raises:
            ImageError: A photo cannot be read or has another size than the dataset says.
            MaskError: A mask is empty or does not fit its photo.
        """
        return self._make_texts() if shard.view is None else self._make_views(shard, shard.view, report)

    def _make_texts(self) -> list[str]:
        """The texts, the small arrays, and the metadata of the views."""
        plan, content, dim = self._plan, self._content, self._embedder.dim
        create_array(content / "text", (len(plan.texts), dim), self._rows_per_file, "float32")
        write_rows(content / "text", 0, self._embedder.embed_texts(plan.texts))
        small: dict[str, NDArray[Any]] = {
            **plan.text_rows,
            "proposals": plan.views["local"].counts,
            **{f"{view}_start": plan.views[view].start for view in VIEWS},
        }
        for name in SMALL_ARRAYS:
            write_array(content / name, small[name])
        for view in VIEWS:
            create_array(content / view, (plan.views[view].total, dim), self._rows_per_file, "float32")
        whole = [name for array in ("text", *SMALL_ARRAYS) for name in list_files(content, array)]
        return [*whole, *(f"{view}/{METADATA}" for view in VIEWS)]

    def _make_views(self, shard: PlannedShard, view: str, report: Callable[[int], None]) -> list[str]:
        """One file of views."""
        values = np.zeros((shard.embeddings, self._embedder.dim), dtype=np.float32)
        for row, embedded in self._embed_rows(shard, view):
            start = row - shard.first
            values[start : start + len(embedded)] = embedded
            report(start + len(embedded))
        write_rows(self._content / view, shard.first, values)
        return [chunk_file(view, shard.index)]

    def _embed_rows(self, shard: PlannedShard, view: str) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Embeddings of a file's rows, a photo and variant at a time, with the row at which each part begins."""
        embed = self._embedder.embed_local if view == "local" else self._embedder.embed_global
        loaded, photo = -1, np.zeros((0, 0, 3), dtype=np.uint8)
        decoded: tuple[int, range] = (-1, range(0))
        masks: MaskStack = CodedMasks([], 0, 0)
        for segment in self._plan.views[view].segments(shard.first, shard.first + shard.embeddings):
            if segment.image_index != loaded:
                loaded, photo = segment.image_index, self._read_photo(segment.image_index)
            try:
                if (loaded, segment.proposals) != decoded:  # the variants of a photo share its masks
                    decoded, masks = (loaded, segment.proposals), self._read_masks(segment, *photo.shape[:2])
                yield segment.row, embed(photo, masks, segment.variant)
            except MaskError as error:
                raise MaskError(
                    f"photo {self._inputs.dataset.images.image_id[loaded]}: of its proposals from number "
                    f"{segment.proposals.start} on, {error}"
                ) from error

    def _read_masks(self, segment: Segment, height: int, width: int) -> MaskStack:
        """The masks of a segment: decoded when they are few, else to be decoded slice by slice."""
        proposals = self._inputs.proposals
        start = proposals.rows_of_image(segment.image_index).start
        counts = proposals.counts[start + segment.proposals.start : start + segment.proposals.stop]
        coded = CodedMasks(counts, height, width)
        return coded[:] if len(counts) * height * width <= DECODED_PIXELS else coded

    def _read_photo(self, image_index: int) -> NDArray[np.uint8]:
        images = self._inputs.dataset.images
        photo = read_photo(self._inputs.root / images.path[image_index])
        height, width = int(images.height[image_index]), int(images.width[image_index])
        if photo.shape[:2] != (height, width):
            raise ImageError(
                f"photo {images.image_id[image_index]} ({images.path[image_index]}): expected {height} x {width} as "
                f"the dataset says, got {photo.shape[0]} x {photo.shape[1]}; run `dvc repro`"
            )
        return photo
