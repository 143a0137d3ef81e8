"""Every embedding of a split: views through the pool, texts here, put together in a work folder and published."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.photo_pool import COLUMNS, LEFT_OUT, RAMPS, STAGE, PhotoPool
from refdiff.clip.photo_pool import gather_facts as gather_photo_facts
from refdiff.clip.plan import VIEWS, EmbeddingPlan, SplitInputs, plan_embeddings
from refdiff.clip.settings import ClipSettings
from refdiff.clip.shard_maker import ShardMaker
from refdiff.clip.store import METADATA
from refdiff.clip.store_writer import describe_store
from refdiff.dataset.tables import read_dataset
from refdiff.layout import SplitLayout
from refdiff.photo_content import digest_photos
from refdiff.proposals.tables import read_proposals
from refdiff.store.fingerprint import digest_facts
from refdiff.store.pool import Pool
from refdiff.store.work import WorkFolder, translate_write_errors
from refdiff.text.tables import read_text

# Their versions may move the bytes of a store's files.
LIBRARIES = ("zarr", "numcodecs")


@dataclass(frozen=True, slots=True)
class EmbeddedSplit:
    """What was made.

    Attributes:
        path: The store.
        plan: What it holds.
        masks: Proposals of all photos.
        photos: Photos of the split.
        computed: For how many of them something was computed now; the others were there from an interrupted run or
            another split.
    """

    path: Path
    plan: EmbeddingPlan
    masks: int
    photos: int
    computed: int


def embed_split(
    layout: SplitLayout, source: str, settings: ClipSettings, report: Callable[[int, int], None]
) -> EmbeddedSplit:
    """Make and publish a split's store for one proposal source; what an interrupted run left is continued.

    Args:
        layout: The split's artifacts.
        source: The proposal source.
        settings: The section `embed_clip`.
        report: Called with how many photos are done, of how many.

    Raises:
        StoreError: An input is missing or does not fit, or something cannot be written.
        ModelError: The model cannot be loaded.
        ImageError: A photo cannot be read or has another size than the dataset says.
        MaskError: A mask is empty or does not fit its photo.
    """
    inputs = SplitInputs(
        dataset=read_dataset(layout.dataset),
        text=read_text(layout.text),
        proposals=read_proposals(layout.proposals(source)),
        root=layout.root,
    )
    plan = plan_embeddings(inputs, settings)
    identity = identify_checkpoint(settings.model, settings.pretrained)
    photo_facts, digests = (
        gather_photo_facts(settings, identity),
        digest_photos(layout.root, inputs.dataset.images.path),
    )
    name = f"{layout.split}-{source}"
    work = WorkFolder(layout.root, STAGE, name, gather_facts(inputs, plan, digests, settings, photo_facts))
    pool = Pool(layout.root, STAGE, "views", photo_facts, COLUMNS)
    embedder = cache(lambda: ClipEmbedder(settings))  # loaded only where something is missing
    with work.hold():
        pool.begin(name)
        records = work.finished()
        missing = [shard for shard in plan.shards(settings.rows_per_file) if shard.number not in records]
        computed = 0
        if missing:
            photos = PhotoPool(inputs, plan, digests, pool)
            computed = photos.fill(embedder, report)
            maker = ShardMaker(plan, photos, settings.rows_per_file, work.content)
            for shard in missing:
                with translate_write_errors(work.path):
                    records[shard.number] = work.record(shard.number, maker.make(shard, embedder))
        variants = {f"{view}_variants": list(plan.views[view].variants) for view in VIEWS}
        facts = {**work.facts, **variants, "model": identity.describe(), "fingerprint": work.fingerprint}
        published = {file for record in records.values() for file in record.files}
        work.publish(layout.clip(source), sorted(published), {METADATA: describe_store(facts, records)})
        pool.finish(name)
    return EmbeddedSplit(layout.clip(source), plan, len(inputs.proposals), len(digests), computed)


def gather_facts(
    inputs: SplitInputs,
    plan: EmbeddingPlan,
    digests: Sequence[str],
    settings: ClipSettings,
    photo_facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the store's values depend on.

    Args:
        inputs: Tables of the split.
        plan: What is embedded.
        digests: SHA-256 of each photo's bytes.
        settings: The section `embed_clip`.
        photo_facts: What the views of a photo depend on beside the photo and its masks.
    """
    photos = [list(pair) for pair in zip(inputs.dataset.images.image_id, digests, strict=True)]
    masks = [code.decode("ascii") for code in inputs.proposals.counts]
    return {
        **photo_facts,
        "parameters": settings.model_dump(mode="json", exclude=LEFT_OUT - {"rows_per_file", *RAMPS}),
        "inputs": {
            "photos": digest_facts(photos),
            "masks": digest_facts([inputs.proposals.image_index.tolist(), masks]),
            "texts": digest_facts([plan.texts, *(rows.tolist() for rows in plan.text_rows.values())]),
            "rows": digest_facts({view: [rows.variants, rows.start.tolist()] for view, rows in plan.views.items()}),
        },
        "versions": {**photo_facts["versions"], **{library: version(library) for library in LIBRARIES}},
    }
