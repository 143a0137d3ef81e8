"""Every embedding of a split: made file by file in a work folder, and published when complete."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from refdiff import __version__
from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.plan import VIEWS, EmbeddingPlan, SplitInputs, plan_embeddings
from refdiff.clip.settings import ClipSettings
from refdiff.clip.shard_maker import ShardMaker
from refdiff.clip.store import METADATA
from refdiff.clip.store_writer import describe_store
from refdiff.dataset.tables import read_dataset
from refdiff.device import choose_device
from refdiff.layout import SplitLayout
from refdiff.model_identity import ModelIdentity
from refdiff.photo import read_bytes
from refdiff.proposals.tables import read_proposals
from refdiff.store.fingerprint import digest_bytes, digest_facts, digest_files
from refdiff.store.work import WorkFolder, translate_write_errors
from refdiff.text.tables import read_text

STAGE = "embed_clip"

# Their versions may move values, so they are part of what a store is.
LIBRARIES = ("torch", "open_clip_torch", "pillow", "zarr", "numcodecs")


@dataclass(frozen=True, slots=True)
class EmbeddedSplit:
    """What was made.

    Attributes:
        path: The store.
        plan: What it holds.
        masks: Proposals of all photos.
        files: Files of embeddings.
        computed: How many of these were computed now; the others were left by an interrupted run.
    """

    path: Path
    plan: EmbeddingPlan
    masks: int
    files: int
    computed: int


def embed_split(
    layout: SplitLayout, source: str, settings: ClipSettings, report: Callable[[int, int], None]
) -> EmbeddedSplit:
    """Make and publish a split's store for one proposal source; what an interrupted run left is continued.

    Args:
        layout: The split's artifacts.
        source: The proposal source.
        settings: The section `embed_clip`.
        report: Called with embeddings done and embeddings in all.

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
    work = WorkFolder(layout.root, STAGE, f"{layout.split}-{source}", gather_facts(inputs, plan, identity, settings))
    with work.hold():
        records = work.finished()
        missing = [shard for shard in plan.shards(settings.rows_per_file) if shard.number not in records]
        done = sum(shard.embeddings for shard in plan.shards(settings.rows_per_file) if shard.number in records)
        total = sum(shard.embeddings for shard in plan.shards(settings.rows_per_file))
        report(done, total)
        if missing:  # otherwise the model need not be loaded
            maker = ShardMaker(inputs, plan, ClipEmbedder(settings), settings.rows_per_file, work.content)
            for shard in missing:
                with translate_write_errors(work.path):
                    files = maker.make(shard, lambda embedded, before=done: report(before + embedded, total))
                    records[shard.number] = work.record(shard.number, files)
                report(done := done + shard.embeddings, total)
        variants = {f"{view}_variants": list(plan.views[view].variants) for view in VIEWS}
        facts = {**work.facts, **variants, "model": identity.describe(), "fingerprint": work.fingerprint}
        published = {name for record in records.values() for name in record.files}
        work.publish(layout.clip(source), sorted(published), {METADATA: describe_store(facts, records)})
    return EmbeddedSplit(layout.clip(source), plan, len(inputs.proposals), len(records), len(missing))


def gather_facts(
    inputs: SplitInputs, plan: EmbeddingPlan, identity: ModelIdentity, settings: ClipSettings
) -> dict[str, Any]:
    """Everything that the store's values depend on.

    Sizes of batches are left out: they move last bits only, and a run that ended for want of memory should go on with
    smaller ones.

    Raises:
        ImageError: A photo cannot be read.
    """
    images = inputs.dataset.images
    photos = [
        [image_id, digest_bytes(read_bytes(inputs.root / path, path))]
        for image_id, path in zip(images.image_id, images.path, strict=True)
    ]
    masks = [code.decode("ascii") for code in inputs.proposals.counts]
    package = Path(__file__).parents[1]
    code = [*sorted(Path(__file__).parent.glob("*.py")), package / "photo.py", package / "rle.py"]
    left_out = {"model", "pretrained", "device", "batch_tokens", "class_tokens", "text_batch"}
    return {
        "stage": STAGE,
        "parameters": settings.model_dump(mode="json", exclude=left_out),
        "model": identity.describe(),
        "device": choose_device(settings.device).type,
        "inputs": {
            "photos": digest_facts(photos),
            "masks": digest_facts([inputs.proposals.image_index.tolist(), masks]),
            "texts": digest_facts([plan.texts, *(rows.tolist() for rows in plan.text_rows.values())]),
            "rows": digest_facts({view: [rows.variants, rows.start.tolist()] for view, rows in plan.views.items()}),
        },
        "versions": {"refdiff": __version__, **{library: version(library) for library in LIBRARIES}},
        "code": digest_files(code, package),
    }
