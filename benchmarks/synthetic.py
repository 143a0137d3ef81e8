"""A synthetic split of the size of RefCOCO val: every artifact that scoring reads, by the real writers, with no model.

`python -m benchmarks.synthetic OUT` makes a folder with artifacts/val, params.yaml and the masks pooled. Its content is
drawn from a seed and plausible in shape: smooth attention with noise, a bright place where the meant object is, blobs
as masks, unit vectors as embeddings.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.extent import Extent
from benchmarks.synthetic_attention import write_attention
from benchmarks.synthetic_clip import write_clip
from benchmarks.synthetic_masks import PHOTO_SIZES, draw_blobs
from refdiff.command import run_command
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import join_tables, measure_overlap, write_overlap
from refdiff.masks.rle import mask_areas
from refdiff.params import parse_section
from refdiff.pooling.split import pool_split
from refdiff.proposals.candidates import of_codes
from refdiff.proposals.tables import read_proposals, write_proposals
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.tables import write_text

SPLIT, SOURCE, CAPTURE = "val", "regions", "paper"
DIRECTIONS = ("none", "left", "right", "top", "bottom")
DIRECTION_SHARES = (0.6, 0.16, 0.16, 0.04, 0.04)
SHIPPED = Path(__file__).parents[1] / "refdiff/presets/demo.yaml"


def make_split(root: Path, extent: Extent) -> SplitLayout:
    """Write every artifact of split `val` below `root`, and a params.yaml that goes with them."""
    rng = np.random.default_rng(extent.seed)
    layout = SplitLayout(SPLIT, root)
    image_of_object = _spread(extent.objects, extent.images)
    object_of = _spread(extent.sentences, extent.objects)
    image_of = image_of_object[object_of]
    sizes = np.array(PHOTO_SIZES)[rng.integers(0, len(PHOTO_SIZES), extent.images)]
    blobs = [draw_blobs(rng, extent.proposals, *size) for size in sizes.tolist()]
    chosen = rng.integers(0, extent.proposals, extent.objects)
    truths = [blobs[image].nudge(rng, int(place)) for image, place in zip(image_of_object, chosen, strict=True)]
    dataset = _dataset(sizes, image_of_object, object_of, truths)
    write_dataset(layout.dataset, dataset)
    rows = _sentences(rng, extent.sentences)
    write_text(layout.text, rows, {})
    write_proposals(
        layout.proposals(SOURCE),
        [of_codes(blob.codes, *size) for blob, size in zip(blobs, sizes.tolist(), strict=True)],
        range(extent.images),
        None,
        {},
    )
    proposals = read_proposals(layout.proposals(SOURCE))
    write_overlap(layout.overlap(SOURCE), join_tables(measure_overlap(dataset, proposals)), {})
    centres = np.array([blobs[image_of_object[each]].centres[chosen[each]] for each in object_of])
    canvas = sizes[image_of].max(axis=1)
    heads = np.array([row.root.unet_last for row in rows])
    tokens = np.array([row.unet_tokens for row in rows], np.int32)
    write_attention(layout.attention(CAPTURE), rng, extent, tokens, heads, centres / canvas[:, None])
    write_clip(layout.clip(SOURCE), rng, extent, image_of, chosen[object_of], rows)
    params = write_params(root)
    readouts = [parse_section(ReadoutSettings, row, name) for name, row in params["readouts"].items()]
    pool_split(layout, [SOURCE], readouts, lambda steps, _: steps)
    return layout


def write_params(root: Path) -> dict[str, Any]:
    """The shipped parameters, with rows for what the split has artifacts of: one capture, one source per photo."""
    params = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    readouts, methods = params["readouts"], params["methods"]
    made = {
        **params,
        "splits": {SPLIT: next(iter(params["splits"].values()))},
        "sources": {SOURCE: params["sources"][SOURCE]},
        "heat_sources": {},
        "readouts": {name: {**row, "capture": CAPTURE, "layers": "all"} for name, row in readouts.items()},
        "methods": {name: row for name, row in methods.items() if row["proposals"] == SOURCE},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    return made


def _spread(many: int, owners: int) -> NDArray[np.int64]:
    """The owner of each of `many`, rising, as evenly as it goes."""
    return np.arange(many) * owners // many


def _dataset(
    sizes: NDArray[np.int64], image_of_object: NDArray[np.int64], object_of: NDArray[np.int64], truths: list[bytes]
) -> Dataset:
    names = [f"{image:06d}" for image in range(len(sizes))]
    image_of = image_of_object[object_of]
    areas = [mask_areas([code], *sizes[image].tolist())[0] for code, image in zip(truths, image_of_object, strict=True)]
    objects = [f"r{each}" for each in range(len(truths))]
    return Dataset(
        Images(
            names,
            [f"{name}.jpg" for name in names],
            *(side.astype(np.int32) for side in sizes.T),
            sha256=["0" * 64] * len(names),
        ),
        Expressions(
            [str(index) for index in range(len(object_of))],
            [objects[each] for each in object_of],
            image_of.astype(np.int32),
            [names[image] for image in image_of],
            [f"sentence {index}" for index in range(len(object_of))],
            object_of.astype(np.int32),
        ),
        Targets(
            objects,
            image_of_object.astype(np.int32),
            truths,
            np.array(areas, np.int64),
            np.ones(len(truths), np.int32),
        ),
        {"split": SPLIT, "dropped": [], "provenance": {}},
    )


def _sentences(rng: np.random.Generator, count: int) -> list[ParsedText]:
    """Parses with as many tokens as RefCOCO's sentences have (four to five, some many more)."""
    rows = []
    for index in range(count):
        tokens = int(min(1 + rng.poisson(2.6) + (rng.random() < 0.1) * rng.poisson(5), 22))
        place = int(rng.integers(1, tokens + 1))
        head = HeadWord(f"word{rng.integers(0, 800)}", 0, 4, place, place)
        direction: Any = DIRECTIONS[rng.choice(len(DIRECTIONS), p=DIRECTION_SHARES)]
        released: Any = direction if direction in ("left", "right") else "none"
        directions = () if direction == "none" else (direction,)
        rows.append(
            ParsedText(f"sentence {index}", head, head, "", tokens, tokens, direction, released, directions, False)
        )
    return rows


def main() -> None:
    """Make the split that the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.synthetic", description=__doc__)
    parser.add_argument("out", type=Path, help="folder that is made")
    parser.add_argument("--images", type=int, default=Extent().images, help="photos; the rest shrinks with them")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    whole = Extent()
    share = arguments.images / whole.images
    extent = replace(
        whole,
        images=arguments.images,
        objects=max(arguments.images, round(whole.objects * share)),
        sentences=max(arguments.images, round(whole.sentences * share)),
        seed=arguments.seed,
    )
    layout = make_split(arguments.out, extent)
    size = sum(file.stat().st_size for file in layout.folder.rglob("*") if file.is_file())
    print(f"{layout.folder}: {extent.sentences} sentences of {extent.images} photos, {size / 1e9:.2f} GB")


if __name__ == "__main__":
    run_command(main)
