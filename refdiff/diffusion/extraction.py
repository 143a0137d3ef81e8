"""A split through the U-Net into a store: shard by shard, going on where an earlier run ended."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from refdiff import __version__
from refdiff.attention_store import FORMAT
from refdiff.device import choose_device
from refdiff.diffusion.background import WriteBehind
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.model import identify_pipeline
from refdiff.diffusion.plan import plan_capture
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.diffusion.shards import Sentences, ShardMaps, check_tokens, compute_shards, read_sentences
from refdiff.layout import SplitLayout
from refdiff.model_identity import ModelIdentity
from refdiff.photo import read_bytes
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.fingerprint import digest_bytes, digest_facts, digest_files
from refdiff.store.work import WorkFolder, translate_write_errors

STAGE = "extract_attention"

# What moves last bits only, or says where the model lies: a run may go on with other values.
_NOT_IN_THE_FINGERPRINT = {"model", "revision", "device", "batch_sentences", "compile"}

# Their versions may move values, so they are part of what a store is.
_LIBRARIES = ("torch", "diffusers", "transformers", "pillow", "zarr", "numcodecs")

# Called with (expressions done, expressions in all).
Report = Callable[[int, int], None]


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
        report: Told of progress, from one thread or another, never from two at once.

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
        missing = {shard: store.expressions_of(shard) for shard in range(store.shards) if shard not in records}
        done = sum(len(store.expressions_of(shard)) for shard in records)
        report(done, len(sentences.sentence))
        if missing:  # otherwise the model need not be loaded
            extractor = AttentionExtractor(settings, identity)
            check_tokens(sentences, extractor, layout.text)

            def keep(shard: int, maps: ShardMaps) -> None:
                nonlocal done
                with translate_write_errors(work.path):
                    records[shard] = work.record(shard, writer.write_shard(shard, maps.cross, maps.self_attention))
                done += len(maps.cross)
                report(done, len(sentences.sentence))

            with WriteBehind() as writing, closing(compute_shards(extractor, sentences, missing, capture)) as computed:
                for shard, maps in computed:
                    writing.submit(partial(keep, shard, maps))
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


def gather_facts(
    sentences: Sentences, identity: ModelIdentity, capture: CaptureSettings, settings: ExtractAttentionSettings
) -> dict[str, Any]:
    """Everything that the store's values depend on.

    The size of a batch and `compile` are left out: they move last bits only, and a run that ended for want of memory or
    of a compiler should go on with another setting.

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
        "parameters": settings.model_dump(mode="json", exclude=_NOT_IN_THE_FINGERPRINT),
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


def _describe(facts: dict[str, Any], identity: ModelIdentity) -> dict[str, Any]:
    """The store's provenance: the facts, with the model's name beside its digest."""
    return {**facts, "refdiff": __version__, "model": identity.describe(), "fingerprint": digest_facts(facts)}
