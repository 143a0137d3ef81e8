"""Every embedding of a split: computed by the engine, put together in a work folder and published."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.job import TEXTS, EmbedJob, gather_facts, read_inputs
from refdiff.clip.photo_pool import COLUMNS, STAGE, PhotoPool, list_tasks
from refdiff.clip.photo_pool import gather_facts as gather_photo_facts
from refdiff.clip.plan import VIEWS, EmbeddingPlan, plan_embeddings
from refdiff.clip.settings import ClipSettings
from refdiff.clip.shard_maker import ShardMaker
from refdiff.clip.store_writer import describe_store
from refdiff.device import check_precision, choose_device, describe_device
from refdiff.engine.accelerators import take_accelerator
from refdiff.engine.photos import Report, compute_photos
from refdiff.engine.settings import SERIAL, Engine
from refdiff.layout import SplitLayout
from refdiff.model_identity import ModelIdentity
from refdiff.store.manifest import METADATA
from refdiff.store.photo_batches import PhotoBatches, write_tasks
from refdiff.store.pool import Pool
from refdiff.store.work import ShardRecord, WorkFolder, translate_write_errors


@dataclass(frozen=True, slots=True)
class EmbeddedSplit:
    """What was made.

    Attributes:
        path: The store; it is published by a run of all photos only.
        plan: What it holds.
        masks: Proposals of all photos.
        photos: Photos of the split.
        computed: For how many of them something was missing when the run began; the others were there from an
            interrupted run or another split.
        missing: Photos for which something is missing: other parts of the same store.
    """

    path: Path
    plan: EmbeddingPlan
    masks: int
    photos: int
    computed: int
    missing: int


def embed_split(
    layout: SplitLayout, source: str, settings: ClipSettings, report: Report, engine: Engine = SERIAL
) -> EmbeddedSplit:
    """Make and publish a split's store for one proposal source; what an interrupted run left is continued.

    Args:
        layout: The split's artifacts.
        source: The proposal source.
        settings: The section `embed_clip`.
        report: Told of progress, from one thread or another, never from two at once.
        engine: Who computes, and which part of the photos; a part is computed only.

    Raises:
        ShardsFailedError: Some photos could not be read or embedded; the others are done.
        RefdiffError: Input, model or parameters do not fit, or something cannot be written; what was computed stays.
    """
    if engine.settings.kind == "serial":  # before torch looks for its devices
        take_accelerator(engine.settings.accelerators)
    device = choose_device(settings.device)
    check_precision(device, settings.dtype, f"{STAGE}.dtype")
    print(f"{STAGE} {layout.split} {source}: on {describe_device(device, settings.dtype)}", file=sys.stderr)
    inputs = read_inputs(layout, source)
    plan = plan_embeddings(inputs, settings)
    identity = identify_checkpoint(settings.model, settings.pretrained)
    photo_facts = gather_photo_facts(settings, identity)
    name, tasks = f"{layout.split}-{source}", list_tasks(inputs, plan)
    work = WorkFolder(layout.root, STAGE, name, gather_facts(inputs, plan, settings, photo_facts))
    pool = Pool(layout.root, STAGE, "views", photo_facts, COLUMNS)
    job = EmbedJob(
        work.path.absolute(),
        pool.path.absolute(),
        layout.root.absolute(),
        Path.cwd(),
        layout.split,
        source,
        settings,
    )
    batches = PhotoBatches(tasks, Pool.open_shards(pool.path, COLUMNS))
    computed = missing = 0
    with work.hold(lambda: write_tasks(work.path, tasks, pool.path), shared=not engine.is_whole):
        pool.begin(name)
        records = work.finished()
        if len(records) < len(list(plan.shards(settings.rows_per_file))):
            computed = compute_photos(job, batches, engine, report, others=1)
            missing = sum(len(batches.missing(batch)) for batch in range(len(batches)))
        if engine.is_whole:
            records |= work.finished([TEXTS])
            _put_together(work, plan, settings, PhotoPool(inputs, tasks, batches), records)
            _publish(work, plan, identity, records, layout.clip(source))
            pool.finish(name)
    return EmbeddedSplit(layout.clip(source), plan, len(inputs.proposals), len(tasks), computed, missing)


def _put_together(
    work: WorkFolder, plan: EmbeddingPlan, settings: ClipSettings, photos: PhotoPool, records: dict[int, ShardRecord]
) -> None:
    """Write the files of views that are missing, out of the pool."""
    maker = ShardMaker(plan, settings.rows_per_file, work.content)
    for shard in plan.shards(settings.rows_per_file):
        if shard.view is not None and shard.number not in records:
            with translate_write_errors(work.path):
                records[shard.number] = work.record(shard.number, maker.make_views(shard, shard.view, photos))


def _publish(
    work: WorkFolder,
    plan: EmbeddingPlan,
    identity: ModelIdentity,
    records: Mapping[int, ShardRecord],
    target: Path,
) -> None:
    variants = {f"{view}_variants": list(plan.views[view].variants) for view in VIEWS}
    facts = {**work.facts, **variants, "model": identity.describe(), "fingerprint": work.fingerprint}
    published = {file for record in records.values() for file in record.files}
    work.publish(target, sorted(published), {METADATA: describe_store(facts, records)})
