"""A small split with every artifact that fuse_scores and evaluate_masks read, written by the real writers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps, MapKey
from refdiff.clip.store_writer import describe_store, list_files, write_array
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.geometry import square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import join_tables, measure_overlap, write_overlap
from refdiff.masks.rle import encode_masks
from refdiff.pooling.split import pool_split
from refdiff.proposals.candidates import of_masks
from refdiff.proposals.tables import read_proposals, write_proposals
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.work import ShardRecord
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.tables import write_text

SIZES = ((24, 32), (32, 24), (20, 20))
IMAGE_OF = (0, 0, 0, 1, 1, 2)
REF_OF = ("r0", "r1", "r1", "r2", "r3", "r4")
TARGET_OF = (0, 1, -1, 2, 3, 4)
NO_TARGETS = (3,)  # their masks are empty
TOKENS = (3, 4, 2, 5, 3, 4)
MASKS_OF = (5, 4, 0)
DIM = 6
CELLS = (8, 4)
DIRECTIONS = ("left", "none", "top", "none", "none", "right")


@dataclass(frozen=True, slots=True)
class SmallSplit:
    """What the artifacts hold.

    Attributes:
        layout: Where they lie.
        masks: Proposals of each photo, bool `[n H W]`.
        truths: True masks, by target.
        maps: Attention of each expression.
        local: Local views of each photo by variant, `[n DIM]`.
        global_view: Global views.
        sentences: Embeddings, `[E DIM]`.
        heads: Embeddings by the rule `root`, `[E DIM]`.
    """

    layout: SplitLayout
    masks: list[NDArray[np.bool_]]
    truths: list[NDArray[np.bool_]]
    maps: list[CrossMaps]
    local: list[dict[str, NDArray[np.float32]]]
    global_view: list[dict[str, NDArray[np.float32]]]
    sentences: NDArray[np.float32]
    heads: NDArray[np.float32]


def make_split(
    root: Path, readout: ReadoutSettings, thresholds: tuple[float, ...], summed: Sequence[ReadoutSettings] = ()
) -> SmallSplit:
    """Write the artifacts of split `val` with source `regions` and heat source `weak` (cut from the readout's heat).

    Args:
        root: The project's folder.
        readout: Linear, or not.
        thresholds: Of the heat source.
        summed: More readouts of the same capture whose scores are wanted.
    """
    rng = np.random.default_rng(0)
    layout = SplitLayout("val", root)
    masks = [_blocks(rng, n, *size) for n, size in zip(MASKS_OF, SIZES, strict=True)]
    truths = [_blocks(rng, 1, *SIZES[image])[0] for image in _images_of_targets()]
    if truths and len(masks[0]) > 2:
        truths[0] = masks[0][2].copy()
    for target in NO_TARGETS:
        truths[target][:] = False
    write_dataset(layout.dataset, _dataset(truths))
    write_text(layout.text, [parsed(index) for index in range(len(IMAGE_OF))], {})
    maps = _draw_attention(rng)
    publish_attention(layout.attention(readout.capture), maps, len(SIZES))
    write_proposals(layout.proposals("regions"), [of_masks(each) for each in masks], range(len(SIZES)), None, {})
    _write_weak(layout, readout, maps, thresholds)
    clip = _write_clip(layout.clip("regions"), rng)
    dataset = _dataset(truths)
    for source in ("regions", "weak"):
        table = read_proposals(layout.proposals(source))
        write_overlap(layout.overlap(source), join_tables(measure_overlap(dataset, table)), {})
    others = [each.model_copy(update={"capture": readout.capture}) for each in summed]
    pool_split(layout, ("regions", "weak"), [readout, *others], lambda steps, _: steps)
    return SmallSplit(layout, masks, truths, maps, *clip)


def _images_of_targets() -> list[int]:
    return [IMAGE_OF[TARGET_OF.index(target)] for target in range(max(TARGET_OF) + 1)]


def _blocks(rng: np.random.Generator, n: int, height: int, width: int) -> NDArray[np.bool_]:
    masks = np.zeros((n, height, width), np.bool_)
    for mask in masks:
        top, left = rng.integers(0, height // 2), rng.integers(0, width // 2)
        mask[top : top + rng.integers(4, height // 2), left : left + rng.integers(4, width // 2)] = True
    return masks


def _dataset(truths: list[NDArray[np.bool_]]) -> Dataset:
    names = [f"e{index}" for index in range(len(IMAGE_OF))]
    heights, widths = (np.array(side, np.int32) for side in zip(*SIZES, strict=True))
    photos = [f"photo{image}" for image in range(len(SIZES))]
    return Dataset(
        Images(photos, [f"{photo}.png" for photo in photos], heights, widths, ["0" * 64] * len(photos)),
        Expressions(
            names,
            list(REF_OF),
            np.array(IMAGE_OF, np.int32),
            [f"photo{image}" for image in IMAGE_OF],
            [f"the thing {name}" for name in names],
            np.array(TARGET_OF, np.int32),
        ),
        Targets(
            [f"r{target}" for target in range(len(truths))],
            np.array(_images_of_targets(), np.int32),
            [encode_masks(truth[None])[0] for truth in truths],
            np.array([truth.sum() for truth in truths], np.int64),
            np.array([target not in NO_TARGETS for target in range(len(truths))], np.int32),
        ),
        {"split": "val", "dropped": ["photo9: missing"], "provenance": {}},
    )


def parsed(index: int) -> ParsedText:
    """The parse of an expression."""
    tokens = TOKENS[index]
    root = HeadWord("thing", 4, 9, tokens, tokens)
    subject = HeadWord("the", 0, 3, 1, 1)
    direction = DIRECTIONS[index]
    released = direction if direction in ("left", "right") else "none"
    directions = () if direction == "none" else (direction,)
    return ParsedText(f"the thing e{index}", root, subject, "", tokens, tokens, direction, released, directions, False)  # type: ignore[arg-type]


def _draw_attention(rng: np.random.Generator) -> list[CrossMaps]:
    keys = {
        (cells, cells): tuple(MapKey(0, place, f"layer{cells}.{place}", cells, cells) for place in range(2))
        for cells in CELLS
    }
    return [
        CrossMaps(keys, {size: rng.random((count, 2, *size)).astype(np.float16).astype(np.float32) for size in keys})
        for count in TOKENS
    ]


def publish_attention(path: Path, maps: Sequence[CrossMaps], images: int) -> None:
    """Write a capture with the maps of some expressions, in shards of four."""
    tokens = np.array([each.tokens for each in maps], np.int32)
    layout = AttentionLayout(tokens, images, maps[0].keys, {}, 4, 2, 2, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = AttentionWriter(path, layout, {"capture": {"canvas_mode": "letterbox"}})
    records = [
        _record(path, shard, writer.write_shard(shard, [maps[i] for i in layout.expressions_of(shard)], {}))
        for shard in range(layout.shards)
    ]
    (path / "zarr.json").write_bytes(writer.final_metadata(records))


def _write_weak(
    layout: SplitLayout, readout: ReadoutSettings, maps: list[CrossMaps], thresholds: tuple[float, ...]
) -> None:
    parts = []
    for index, each in enumerate(maps):
        frame = square_frame(*SIZES[IMAGE_OF[index]], "letterbox")
        heat = heat_map(each, [TOKENS[index]], readout, frame)
        cut = [mu for mu in thresholds if (heat >= mu).any()]
        stack = np.stack([heat >= mu for mu in cut])
        parts.append(of_masks(stack, thresholds=np.array(cut, np.float32)))
    write_proposals(layout.proposals("weak"), parts, IMAGE_OF, range(len(IMAGE_OF)), {})


def _write_clip(path: Path, rng: np.random.Generator) -> tuple:
    def unit(*shape: int) -> NDArray[np.float32]:
        values = rng.normal(size=shape).astype(np.float32)
        return values / np.linalg.norm(values, axis=-1, keepdims=True)

    count = len(IMAGE_OF)
    variants = {
        "local": ("none", "released_left", "released_right"),
        "global": ("none", "paper_left", "paper_right", "paper_top"),
    }
    path.mkdir(parents=True)
    text = unit(2 * count, DIM)
    arrays: dict[str, NDArray] = {
        "text": text,
        "sentence_row": np.arange(count, dtype=np.int32),
        "root_row": np.arange(count, 2 * count, dtype=np.int32),
        "subject_row": np.arange(count, dtype=np.int32)[::-1].copy(),
        "proposals": np.array(MASKS_OF, np.int64),
    }
    views: list[list[dict[str, NDArray[np.float32]]]] = []
    for view, names in variants.items():
        of_photos = [{name: unit(n, DIM) for name in names} for n in MASKS_OF]
        flat = [block for photo in of_photos for block in photo.values()]
        lengths = np.array([len(block) for block in flat], np.int64)
        arrays[view] = np.concatenate(flat)
        arrays[f"{view}_start"] = (np.cumsum(lengths) - lengths).reshape(len(SIZES), len(names))
        views.append(of_photos)
    for name, values in arrays.items():
        write_array(path / name, values)
    files = [name for array in arrays for name in list_files(path, array)]
    facts = {f"{view}_variants": list(names) for view, names in variants.items()}
    (path / "zarr.json").write_bytes(describe_store(facts, {0: _record(path, 0, files)}))
    return (*views, text[:count], text[count:])


def _record(folder: Path, index: int, files: list[str]) -> ShardRecord:
    contents = {name: (folder / name).read_bytes() for name in files}
    return ShardRecord(index, {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()})
