"""clip/<source>.zarr: unit-length embeddings of texts and of every proposal's views; the reading side (no torch).

Layout: `text` float32 [texts dim] holds each distinct text once; `sentence_row`, `root_row`, `subject_row` int32
[expressions] point into it. `local` and `global` float32 [rows dim] are flat, and `local_start`, `global_start` int64
[photos variants] say where a photo's rows of a variant begin (-1: not used), `proposals` int64 [photos] how many they
are. One chunk is one file. The root attributes name the variants, the provenance and each file's size and digest.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.view_rows import ViewRows
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreMismatchError, translate_read_errors
from refdiff.finite import check_finite
from refdiff.store.byte_source import LocalFolder
from refdiff.store.fingerprint import digest_file
from refdiff.store.flat_rows import FlatRows
from refdiff.store.manifest import METADATA, ClipAttributes, parse_clip
from refdiff.store.zarr_chunks import ChunkReader

_REPAIR = "run `refdiff store repair` on the store, then `dvc repro`"
_REMAKE = "the store was not made by embed_clip as it is now; remove it and run `dvc repro`"

HeadRule = Literal["root", "root_or_subject"]


class ClipStore:
    """A store that is complete; open it with `ClipStore.open`.

    Attributes:
        attributes: Provenance, model, variants and file digests.
        dim: Length of an embedding.
        expressions: How many expressions it has.
        local_rows: Where the local views lie.
        global_rows: Where the global views lie.
    """

    def __init__(self, path: Path, attributes: ClipAttributes) -> None:
        """Use `ClipStore.open`."""
        self.attributes = attributes.model_dump(mode="json")
        self._path = path
        self._text = self._read("text")
        check_finite(self._text, lambda row: f"{path}: text {row}", _REMAKE)
        self._sentence = self._read("sentence_row")
        self._heads = {"root": self._read("root_row"), "root_or_subject": self._read("subject_row")}
        counts = self._read("proposals")
        self.local_rows = ViewRows(attributes.local_variants, self._read("local_start"), counts)
        self.global_rows = ViewRows(attributes.global_variants, self._read("global_start"), counts)
        self.dim = int(self._text.shape[-1])
        self.expressions = len(self._sentence)
        self._views = {name: FlatRows(ChunkReader(LocalFolder(path), name)) for name in ("local", "global")}
        self._check_shapes()

    @staticmethod
    def open(path: Path) -> "ClipStore":
        """Open a store that embed_clip made.

        Raises:
            ArtifactMissingError: It is not there.
            StoreMismatchError: It is something else.
            ShardCorruptError: A file of it is missing or has another size, or a text's embedding is not finite.
            UnreadableError: A file of it cannot be read now.
        """
        try:
            content = (path / METADATA).read_bytes()
        except FileNotFoundError as error:
            raise ArtifactMissingError(f"{path}: not there; run `dvc repro`, which makes it") from error
        except OSError as error:
            raise StoreMismatchError(f"{path}: cannot be read ({error.strerror}); correct its permissions") from error
        attributes = parse_clip(content, f"{path / METADATA}")
        for name, entry in attributes.files.items():
            file = path / name
            with translate_read_errors(file):
                if not file.is_file() or file.stat().st_size != entry.bytes:
                    raise ShardCorruptError(f"{file}: missing or not {entry.bytes} bytes long; {_REPAIR}")
                if file.name == METADATA and digest_file(file) != entry.sha256:
                    raise ShardCorruptError(f"{file}: is not what was recorded of it; {_REPAIR}")
        return ClipStore(path, attributes)

    def sentence(self, expression_index: int) -> NDArray[np.float32]:
        """The whole expression, `[dim]`."""
        return self._text[self._sentence[self._check(expression_index)]]

    def head(self, expression_index: int, rule: HeadRule) -> NDArray[np.float32]:
        """The expression's head word by `rule`, encoded alone, `[dim]`."""
        return self._text[self._heads[rule][self._check(expression_index)]]

    def texts(self, expressions: range, rule: HeadRule) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Some expressions and their head words, `[len(expressions) dim]` each, as `sentence` and `head` give them."""
        for index in (expressions.start, expressions.stop - 1):
            self._check(index)
        rows = slice(expressions.start, expressions.stop)
        return self._text[self._sentence[rows]], self._text[self._heads[rule][rows]]

    def local(self, image_index: int, variant: str) -> NDArray[np.float32]:
        """Local views of a photo's proposals, `[n dim]`, in their order.

        Raises:
            StoreMismatchError: The photo was not embedded in this variant.
            ShardCorruptError: The file cannot be read, or holds what is no finite number.
        """
        return self._read_views("local", self.local_rows, image_index, variant)

    def global_view(self, image_index: int, variant: str) -> NDArray[np.float32]:
        """Global views of a photo's proposals; otherwise as `local`."""
        return self._read_views("global", self.global_rows, image_index, variant)

    def _read_views(self, view: str, rows: ViewRows, image_index: int, variant: str) -> NDArray[np.float32]:
        embeddings = self._views[view].read(rows.of(image_index, variant))
        check_finite(
            embeddings,
            lambda row: f"{self._path}: {view} view ({variant}) of photo {image_index}, proposal {row}",
            _REMAKE,
        )
        return embeddings

    def _check_shapes(self) -> None:
        """See that the arrays fit each other, so that no row is asked for that is not there."""
        texts = [self._sentence, *self._heads.values()]
        whole = (
            self._text.ndim == 2
            and all(rows.shape == (self.expressions,) for rows in texts)
            and all(rows.min(initial=0) >= 0 and rows.max(initial=-1) < len(self._text) for rows in texts)
            and all(
                rows.fits(self._views[name].shape[0]) and self._views[name].shape[1:] == (self.dim,)
                for name, rows in (("local", self.local_rows), ("global", self.global_rows))
            )
        )
        if not whole:
            raise StoreMismatchError(f"{self._path}: its arrays do not fit each other; {_REPAIR}")

    def _check(self, expression_index: int) -> int:
        if not 0 <= expression_index < self.expressions:
            raise StoreMismatchError(
                f"{self._path}: has {self.expressions} expressions, asked for number {expression_index}; "
                "it was made for another dataset, run `dvc repro`"
            )
        return expression_index

    def _read(self, name: str) -> NDArray[Any]:
        return ChunkReader(LocalFolder(self._path), name).read_rows()
