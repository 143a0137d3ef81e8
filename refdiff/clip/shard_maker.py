"""Writing the units of a store: the texts, and the files of views."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.photo_pool import PhotoPool
from refdiff.clip.plan import VIEWS, EmbeddingPlan, PlannedShard
from refdiff.clip.store_writer import chunk_file, create_array, list_files, write_array, write_rows
from refdiff.store.manifest import METADATA

SMALL_ARRAYS = ("sentence_row", "root_row", "subject_row", "proposals", "local_start", "global_start")


class ShardMaker:
    """Makes the units of a plan in a folder.

    Args:
        plan: What is embedded.
        rows_per_file: Embeddings in one file.
        content: The folder of the store's arrays.
    """

    def __init__(self, plan: EmbeddingPlan, rows_per_file: int, content: Path) -> None:
        self._plan = plan
        self._rows_per_file = rows_per_file
        self._content = content

    def make_texts(self, embedder: ClipEmbedder) -> list[str]:
        """The texts, the small arrays, and the metadata of the views; before any views.

        Returns:
            Their files, relative to the content folder.
        """
        plan, content = self._plan, self._content
        create_array(content / "text", (len(plan.texts), embedder.dim), self._rows_per_file, "float32")
        write_rows(content / "text", 0, embedder.embed_texts(plan.texts))
        small: dict[str, NDArray[Any]] = {
            **plan.text_rows,
            "proposals": plan.views["local"].counts,
            **{f"{view}_start": plan.views[view].start for view in VIEWS},
        }
        for name in SMALL_ARRAYS:
            write_array(content / name, small[name])
        for view in VIEWS:
            create_array(content / view, (plan.views[view].total, embedder.dim), self._rows_per_file, "float32")
        whole = [name for array in ("text", *SMALL_ARRAYS) for name in list_files(content, array)]
        return [*whole, *(f"{view}/{METADATA}" for view in VIEWS)]

    def make_views(self, shard: PlannedShard, view: str, photos: PhotoPool) -> list[str]:
        """One file of views.

        Args:
            shard: Which.
            view: Of which view.
            photos: The views of the photos, already computed.

        Returns:
            The file, relative to the content folder.
        """
        parts = []
        for segment in self._plan.views[view].segments(shard.first, shard.first + shard.embeddings):
            embedded = photos.read(segment.image_index, view, segment.variant)
            parts.append(embedded[segment.proposals.start : segment.proposals.stop])
        write_rows(self._content / view, shard.first, np.concatenate(parts))
        return [chunk_file(view, shard.index)]
