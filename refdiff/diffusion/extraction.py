"""A split through the U-Net into a store: shard by shard, going on where an earlier run ended."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refdiff import __version__
from refdiff.device import check_precision, choose_device, describe_device
from refdiff.diffusion.facts import (
    STAGE,
    digest_asked,
    digest_inputs,
    digest_shard,
    gather_facts,
)
from refdiff.diffusion.job import ExtractJob, lay_out
from refdiff.diffusion.pipeline_files import identify_pipeline
from refdiff.diffusion.plan import plan_capture
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.diffusion.shards import read_sentences, recipe_of
from refdiff.engine.accelerators import take_accelerator
from refdiff.engine.run import run_shards
from refdiff.engine.settings import SERIAL, Engine
from refdiff.layout import SplitLayout
from refdiff.store.attention_writer import AttentionWriter
from refdiff.store.work import ShardRecord, WorkFolder, read_marker, translate_write_errors

# Called with (expressions done, expressions in all), of the part that the run computes.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a run did.

    Attributes:
        path: The store; it is published by a run of all shards only.
        expressions: Expressions in it.
        images: Images that they are about.
        maps: Cross-attention maps of a token.
        shards: Shards in it.
        missing: Shards that no run has done; whether those of other parts are of today's dataset is not looked at.
        computed: Shards that this run computed; an earlier one left the others.
        bytes: Size of the files of the shards that are done.
    """

    path: Path
    expressions: int
    images: int
    maps: int
    shards: int
    missing: int
    computed: int
    bytes: int


def extract_split(
    layout: SplitLayout,
    name: str,
    capture: CaptureSettings,
    settings: ExtractAttentionSettings,
    report: Report,
    engine: Engine = SERIAL,
) -> Extracted:
    """Compute what is not there yet of a capture, and publish the store; a part of it is computed only.

    Args:
        layout: Where the split's artifacts lie.
        name: The capture's name.
        capture: Its row of params.yaml.
        settings: The stage's section.
        report: Told of progress, from one thread or another, never from two at once.
        engine: Who computes the shards, and which of them.

    Raises:
        RefdiffError: Input, model or parameters do not fit, or something cannot be written; finished shards stay.
    """
    if engine.settings.kind == "serial":  # before torch looks for its devices
        take_accelerator(engine.settings.accelerators)
    device = choose_device(settings.device)
    check_precision(device, settings.dtype, f"{STAGE}.dtype")
    place = describe_device(device, settings.dtype)
    counted = f"counted by whole shards of {settings.store.shard_expressions} sentences"
    print(f"{STAGE} {layout.split} {name}: on {place}; {counted}", file=sys.stderr)
    sentences = read_sentences(layout)
    identity = identify_pipeline(settings.model, settings.revision)
    plan = plan_capture(identity, capture)
    store = lay_out(sentences, plan, settings)
    user = f"{layout.split}-{name}"
    facts, inputs = gather_facts(identity, capture, settings), digest_inputs(sentences)
    work = WorkFolder(layout.root, STAGE, user, facts, {"inputs": inputs})
    here, root = work.path.absolute(), layout.root.absolute()
    pool = recipe_of(identity, capture, settings).pool(layout.root, STAGE)
    latents = pool.path.absolute() if settings.keep_latents else None
    job = ExtractJob(here, digest_asked(sentences), root, Path.cwd(), layout.split, capture, settings, latents)
    shards = range(store.shards)
    mine = engine.part.of(shards)
    total = sum(len(store.expressions_of(shard)) for shard in mine)
    target = layout.attention(name)
    writers: list[AttentionWriter] = []

    def make_arrays() -> None:
        provenance = {**facts, "inputs": inputs, "refdiff": __version__, "model": identity.describe()}
        writers.append(AttentionWriter(work.content, store, {**provenance, "fingerprint": work.fingerprint}))

    # All shards but the last have the same number of expressions.
    def watch(done: int) -> None:
        report(min(done * store.shard_expressions, total), total)

    with work.hold(make_arrays, shared=not engine.is_whole):
        if settings.keep_latents:
            pool.begin(user)
        arrays = writers[0].describe_arrays()
        wanted = {
            shard: digest_shard(shard, store.expressions_of(shard), sentences, work.fingerprint, arrays)
            for shard in mine
        }
        verified = _take_over(work, wanted, None if engine.is_whole else mine)
        run_shards(job, shards, engine, watch)
        there = [verified.get(shard) or read_marker(work.marker(shard)) for shard in shards]
        records = [record for record in there if record is not None]
        if engine.is_whole:
            _publish(work, writers[0], records, target)
            if settings.keep_latents:
                pool.finish(user)
            else:
                pool.leave(user)
    return Extracted(
        target,
        len(sentences.sentence),
        len(np.unique(sentences.image_index)),
        sum(len(group) for group in plan.cross_keys.values()),
        store.shards,
        store.shards - len(records),
        len(mine) - len(verified),
        sum(size for record in records for size, _ in record.files.values()),
    )


def _take_over(work: WorkFolder, wanted: Mapping[int, str], shards: range | None) -> dict[int, ShardRecord]:
    """The shards of earlier runs that are whole, and of what this run asks for; the markers of others go."""
    before = sum(work.marker(shard).is_file() for shard in wanted)
    verified = work.finished(shards, wanted)
    if before:
        others = before - len(verified)
        again = f"; {others} do not serve, as photos or sentences of them changed or they are damaged"
        said = f"{len(verified)} of {len(wanted)} shards taken over from an earlier run"
        print(f"{work.path}: {said}{again if others else ''}", file=sys.stderr)
    return verified


def _publish(work: WorkFolder, writer: AttentionWriter, records: list[ShardRecord], target: Path) -> None:
    files = [*writer.metadata_files(), *(file for record in records for file in record.files)]
    with translate_write_errors(work.content):
        work.drop_unused([*files, "zarr.json"])
    work.publish(target, files, {"zarr.json": writer.final_metadata(records)})
