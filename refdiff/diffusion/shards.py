"""Shards of a split through the U-Net, while the photos of the next ones are read."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps, SelfMaps
from refdiff.dataset.tables import read_dataset
from refdiff.device import choose_device
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.latent_pool import LatentPool
from refdiff.diffusion.latents import LatentRecipe, NewLatent, PhotoLatents, ReadPhoto
from refdiff.diffusion.photo_query import PhotoQuery
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings, posterior_seed
from refdiff.errors import DatasetError, StoreMismatchError
from refdiff.layout import SplitLayout
from refdiff.model_identity import ModelIdentity
from refdiff.photo_content import read_listed_bytes
from refdiff.text.tables import read_text


@dataclass(frozen=True, slots=True)
class Sentences:
    """What extraction reads of a split.

    Attributes:
        root: The project's folder, where photo paths start.
        image_id: By image.
        path: Photo files, by image.
        sha256: Their digests, by image, as `prepare_dataset` found them.
        image_index: int32 `[expression]`, never falling.
        sentence: By expression.
        tokens: int32 `[expression]`, tokens that the text table counts.
    """

    root: Path
    image_id: list[str]
    path: list[str]
    sha256: list[str]
    image_index: NDArray[np.int32]
    sentence: list[str]
    tokens: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ShardMaps:
    """The maps of a shard.

    Attributes:
        cross: Of each of its expressions.
        self_attention: By image, of those whose first expression is among them.
        latents: Those of its photos that are to be kept.
    """

    cross: list[CrossMaps]
    self_attention: dict[int, SelfMaps]
    latents: list[NewLatent]


@dataclass(frozen=True, slots=True)
class _Group:
    """The expressions of a shard that are about one image."""

    image: int
    expressions: Sequence[int]


def compute_shards(
    extractor: AttentionExtractor,
    sentences: Sentences,
    shards: Iterator[tuple[int, range]],
    capture: CaptureSettings,
    pool: LatentPool | None,
) -> Generator[tuple[int, ShardMaps]]:
    """The maps of some shards, one after the other; the sentences of a shard's images share batches.

    The next shard is taken, and its photos are read, while one is computed: never more than that, as others may be
    there to compute what is not taken.

    Args:
        extractor: The model.
        sentences: What is asked of the split.
        shards: Shard numbers with their expressions.
        capture: What is kept.
        pool: Where the photos' latents may be found; None where they are not looked for.

    Yields:
        Shard numbers with their maps, in the order given.

    Raises:
        RefdiffError: A photo cannot be read or was exchanged, or the model or the memory does not suffice.
    """
    latents = PhotoLatents(extractor.model.vae, recipe_of(extractor.model.identity, capture, extractor.settings), pool)

    def read(image: int) -> ReadPhoto:
        path, digest = sentences.root / sentences.path[image], sentences.sha256[image]
        content = read_listed_bytes(path, str(path), digest)
        return latents.read(content, digest, str(path), sentences.image_id[image])

    def take() -> tuple[int, list[_Group], list[Future[ReadPhoto]]] | None:
        taken = next(shards, None)
        if taken is None:
            return None
        groups = _group(sentences, taken[1])
        return taken[0], groups, [reader.submit(read, group.image) for group in groups]

    reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        current = take()
        while current is not None:
            following = take()
            shard, groups, reading = current
            photos = [photo.result() for photo in reading]
            encoded, new = latents.encode(photos)
            queries = [_ask(sentences, group, latent) for group, latent in zip(groups, encoded, strict=True)]
            found = extractor.capture_photos(queries, capture)
            pairs = zip(groups, found, strict=True)
            own = {group.image: maps.self_attention for group, maps in pairs if maps.self_attention is not None}
            yield shard, ShardMaps([maps for image in found for maps in image.cross], own, new)
            current = following
    finally:
        reader.shutdown(cancel_futures=True)


def recipe_of(identity: ModelIdentity, capture: CaptureSettings, settings: ExtractionSettings) -> LatentRecipe:
    """What decides the latents of a capture's photos."""
    device, seed = choose_device(settings.device).type, posterior_seed(capture, settings)
    return LatentRecipe(identity.digest, device, capture.canvas_px, capture.canvas_mode, seed)


def read_sentences(layout: SplitLayout) -> Sentences:
    """The split's sentences and photo names.

    Raises:
        StoreMismatchError: The text table is of another dataset.
        DatasetError: There are no sentences.
    """
    dataset, text = read_dataset(layout.dataset), read_text(layout.text)
    images, expressions = dataset.images, dataset.expressions
    if len(text) != len(expressions.sentence):
        raise StoreMismatchError(
            f"{layout.text}: expected {len(expressions.sentence)} rows, one per expression, got {len(text)}; "
            "run `dvc repro`"
        )
    if not expressions.sentence:
        raise DatasetError(f"{layout.dataset}: has no expressions; expected one at least; correct the split")
    return Sentences(
        layout.root,
        images.image_id,
        images.path,
        images.sha256,
        expressions.image_index,
        expressions.sentence,
        text.unet_tokens,
    )


def check_tokens(sentences: Sentences, extractor: AttentionExtractor, where: Path) -> None:
    """See that the text table counts the tokens that the U-Net will see.

    Raises:
        StoreMismatchError: It was made with another tokenizer.
    """
    for index, (sentence, tokens) in enumerate(zip(sentences.sentence, sentences.tokens, strict=True)):
        count = extractor.count_tokens(sentence)
        if count != tokens:
            raise StoreMismatchError(
                f"{where}: expression {index} {sentence!r}: expected {count} tokens by the tokenizer of "
                f"{extractor.model.identity.name}, got {tokens}; run `dvc repro`, which parses the sentences with it"
            )


def is_first(sentences: Sentences, expression: int) -> bool:
    """Whether an expression is the first one about its photo."""
    index = sentences.image_index
    return expression == 0 or bool(index[expression - 1] != index[expression])


def _group(sentences: Sentences, expressions: range) -> list[_Group]:
    """The expressions by image; those of an image lie side by side."""
    by_image = groupby(expressions, key=lambda index: int(sentences.image_index[index]))
    return [_Group(image, list(group)) for image, group in by_image]


def _ask(sentences: Sentences, group: _Group, latent: torch.Tensor) -> PhotoQuery:
    asked = [sentences.sentence[index] for index in group.expressions]
    return PhotoQuery(sentences.image_id[group.image], latent, asked, is_first(sentences, group.expressions[0]))
