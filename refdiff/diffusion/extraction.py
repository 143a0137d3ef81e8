"""A split through the U-Net into a store: shard by shard, going on where an earlier run ended."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff import __version__
from refdiff.attention import CrossMaps, SelfMaps
from refdiff.attention_store import FORMAT
from refdiff.dataset.tables import read_dataset
from refdiff.device import choose_device
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.model import identify_pipeline
from refdiff.diffusion.plan import plan_capture
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.errors import DatasetError, StoreMismatchError
from refdiff.layout import SplitLayout
from refdiff.model_identity import ModelIdentity
from refdiff.photo import read_bytes, read_photo
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.fingerprint import digest_bytes, digest_facts, digest_files
from refdiff.store.work import WorkFolder, translate_write_errors
from refdiff.text.tables import read_text

STAGE = "extract_attention"

# Their versions may move values, so they are part of what a store is.
_LIBRARIES = ("torch", "diffusers", "transformers", "pillow", "zarr", "numcodecs")

# Called with (expressions done, expressions in all).
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Sentences:
    """What extraction reads of a split.

    Attributes:
        root: The project's folder, where photo paths start.
        image_id: By image.
        path: Photo files, by image.
        image_index: int32 `[expression]`, never falling.
        sentence: By expression.
        tokens: int32 `[expression]`, tokens that the text table counts.
    """

    root: Path
    image_id: list[str]
    path: list[str]
    image_index: NDArray[np.int32]
    sentence: list[str]
    tokens: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a run did.

    Attributes:
        path: The published store.
        expressions: Expressions in it.
        images: Images that they are about.
        maps: Cross-attention maps of a token.
        shards: Shards in it.
        computed: Shards that this run computed; an earlier one left the others.
        bytes: Size of the shards' files.
    """

    path: Path
    expressions: int
    images: int
    maps: int
    shards: int
    computed: int
    bytes: int


def extract_split(
    layout: SplitLayout,
    name: str,
    capture: CaptureSettings,
    settings: ExtractAttentionSettings,
    report: Report,
) -> Extracted:
    """Compute what is not there yet of a capture, and publish the store.

    Args:
        layout: Where the split's artifacts lie.
        name: The capture's name.
        capture: Its row of params.yaml.
        settings: The stage's section.
        report: Told of progress.

    Raises:
        RefdiffError: Input, model or parameters do not fit, or something cannot be written; finished shards stay.
    """
    sentences = read_sentences(layout)
    identity = identify_pipeline(settings.model, settings.revision)
    plan = plan_capture(identity, capture)
    store = AttentionLayout(
        sentences.tokens,
        len(sentences.image_id),
        plan.cross_keys,
        plan.self_keys,
        settings.store.shard_expressions,
        settings.store.chunk_expressions,
        settings.store.chunk_tokens,
        settings.store.compression_level,
    )
    facts = gather_facts(sentences, identity, capture, settings)
    work = WorkFolder(layout.root, STAGE, f"{layout.split}-{name}", facts)
    with work.hold():
        with translate_write_errors(work.path):
            writer = AttentionWriter(work.content, store, _describe(facts, identity))
        records = work.finished()
        missing = [shard for shard in range(store.shards) if shard not in records]
        done = sum(len(store.expressions_of(shard)) for shard in records)
        report(done, len(sentences.sentence))
        if missing:  # otherwise the model need not be loaded
            extractor = AttentionExtractor(settings, identity)
            check_tokens(sentences, extractor, layout.text)
            for shard in missing:
                cross, own = compute_shard(extractor, sentences, store.expressions_of(shard), capture)
                with translate_write_errors(work.path):
                    records[shard] = work.record(shard, writer.write_shard(shard, cross, own))
                done += len(cross)
                report(done, len(sentences.sentence))
        ordered = [records[shard] for shard in range(store.shards)]
        files = [*writer.metadata_files(), *(file for record in ordered for file in record.files)]
        target = layout.attention(name)
        work.publish(target, files, {"zarr.json": writer.final_metadata(ordered)})
    return Extracted(
        target,
        len(sentences.sentence),
        len(np.unique(sentences.image_index)),
        sum(len(group) for group in plan.cross_keys.values()),
        store.shards,
        len(missing),
        sum(size for record in ordered for size, _ in record.files.values()),
    )


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
        layout.root, images.image_id, images.path, expressions.image_index, expressions.sentence, text.unet_tokens
    )


def gather_facts(
    sentences: Sentences, identity: ModelIdentity, capture: CaptureSettings, settings: ExtractAttentionSettings
) -> dict[str, Any]:
    """Everything that the store's values depend on.

    The size of a batch is left out: it moves last bits only, and a run that ended for want of memory should go on with
    a smaller one.

    Raises:
        ImageError: A photo cannot be read.
    """
    photos = [
        [image_id, digest_bytes(read_bytes(sentences.root / path, path))]
        for image_id, path in zip(sentences.image_id, sentences.path, strict=True)
    ]
    package = Path(__file__).parents[1]
    code = [*sorted(Path(__file__).parent.glob("*.py")), package / "geometry.py", package / "photo.py"]
    return {
        "stage": STAGE,
        "format": FORMAT,
        "capture": capture.model_dump(mode="json"),
        "parameters": settings.model_dump(mode="json", exclude={"model", "revision", "device", "batch_sentences"}),
        "model": identity.digest,
        "device": choose_device(settings.device).type,
        "inputs": {
            "photos": digest_facts(photos),
            "sentences": digest_facts([sentences.image_index.tolist(), sentences.sentence]),
            "tokens": digest_facts(sentences.tokens.tolist()),
        },
        "versions": {"refdiff": __version__, **{library: version(library) for library in _LIBRARIES}},
        "code": digest_files(code, package),
    }


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
                f"{extractor.model.identity.name}, got {tokens}; give parse_text and extract_attention the same model"
            )


def compute_shard(
    extractor: AttentionExtractor, sentences: Sentences, expressions: range, capture: CaptureSettings
) -> tuple[list[CrossMaps], dict[int, SelfMaps]]:
    """The maps of a shard's expressions, image by image.

    Returns:
        Cross-attention of each expression; self-attention of the images whose first expression is among them.

    Raises:
        ImageError: A photo cannot be read.
    """
    cross: list[CrossMaps] = []
    own: dict[int, SelfMaps] = {}
    for image, group in groupby(expressions, key=lambda index: int(sentences.image_index[index])):
        mine = list(group)
        photo = read_photo(sentences.root / sentences.path[image])
        is_first = mine[0] == 0 or sentences.image_index[mine[0] - 1] != image
        asked = [sentences.sentence[index] for index in mine]
        maps = extractor.capture_image(photo, sentences.image_id[image], asked, capture, with_self=is_first)
        cross.extend(maps.cross)
        if maps.self_attention is not None:
            own[image] = maps.self_attention
    return cross, own


def _describe(facts: dict[str, Any], identity: ModelIdentity) -> dict[str, Any]:
    """The store's provenance: the facts, with the model's name beside its digest."""
    return {**facts, "refdiff": __version__, "model": identity.describe(), "fingerprint": digest_facts(facts)}
