"""What a photo costs: proposals by `regions`, and CLIP's two views of all proposals against one proposal at a time.

One at a time calls the same functions with one mask: each crop is a batch of its own, and the global view runs the
whole photo again for each proposal. Both run in this process on the same photo and masks; the largest difference of
what they make is in the table. Weights are random, since speed needs no others.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from demo.scenes import draw_scene
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.mask_stack import CodedMasks
from refdiff.clip.model import ClipModel
from refdiff.clip.settings import ClipSettings
from refdiff.clip.tower import VitTower
from refdiff.command import run_command
from refdiff.device import choose_device
from refdiff.masks.rle import encode_masks
from refdiff.model_identity import ModelIdentity
from refdiff.params import parse_section, read_params
from refdiff.proposals.regions import propose_regions
from refdiff.proposals.settings import RegionsSettings

T = TypeVar("T")
Clock = Callable[[], float]

# The values that the comments of params.yaml name for photos.
PHOTO_REGIONS = {
    "smoothing_px": [3.0],
    "texture_weight": 4.0,
    "small_px": 400,
    "min_contrast": 3.0,
    "min_persistence": 0.0,
    "max_area_share": 0.7,
    "max_border_share": 0.6,
    "ground_distance": 0.0,
    "max_regions": 90,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table.

    Attributes:
        what: Which path.
        items: What it makes, and how many of them for a photo.
        seconds: For one photo, the median of the repeats.
        ratio: How much faster than one proposal at a time; None where there is no such path.
        difference: Largest difference of the two paths' unit-length embeddings.
    """

    what: str
    items: str
    seconds: float
    ratio: float | None = None
    difference: float | None = None


def draw_photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth random photo: low frequencies with grain, RGB uint8 `[height width 3]`."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 12, 16)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
    return np.clip(smooth + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


def draw_masks(count: int, height: int, width: int, seed: int = 0) -> CodedMasks:
    """Ellipses of the sizes that objects have in photos, coded."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    masks = np.zeros((count, height, width), dtype=np.bool_)
    for mask in masks:
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        down, across = rng.uniform(0.04, 0.35, 2) * (height, width)
        mask[:] = ((rows - y) / down) ** 2 + ((columns - x) / across) ** 2 < 1
    return CodedMasks(encode_masks(masks), height, width)


def load_random(architecture: str, settings: ClipSettings) -> ClipModel:
    """A model of one of open_clip's architectures, with random weights."""
    torch.manual_seed(0)
    network = open_clip.create_model(architecture).eval().requires_grad_(False)
    device, dtype = choose_device(settings.device), getattr(torch, settings.dtype)
    visual = network.visual
    assert isinstance(visual, torch.nn.Module)
    tower = VitTower(visual, architecture)
    network.to(device=device, dtype=dtype)
    tokenize = open_clip.get_tokenizer(architecture)
    half = (0.5, 0.5, 0.5)
    identity = ModelIdentity(architecture, Path(), "random weights")
    return ClipModel(identity, network, tower, tokenize, half, half, device, dtype)


def measure_views(
    embedder: ClipEmbedder, photo: NDArray[np.uint8], masks: CodedMasks, repeats: int, clock: Clock
) -> list[Measured]:
    """Both views of all masks, together and one at a time."""
    rows, single = [], [masks[index : index + 1] for index in range(masks.shape[0])]
    for name, embed in (("local", embedder.embed_local), ("global", embedder.embed_global)):
        embed(photo, single[0], "none")  # the first call of a kind takes longer
        together, seconds = timed(lambda embed=embed: embed(photo, masks[:], "none"), repeats, clock)
        one_by_one, alone = timed(
            lambda embed=embed: np.concatenate([embed(photo, mask, "none") for mask in single]), repeats, clock
        )
        difference = float(np.abs(together - one_by_one).max())
        rows.append(Measured(f"CLIP {name} view", f"{len(single)} embeddings", seconds, alone / seconds, difference))
    return rows


def measure_regions(photo: NDArray[np.uint8], settings: RegionsSettings, repeats: int, clock: Clock) -> Measured:
    """Proposals of one photo in one process."""
    found = propose_regions(photo, settings)
    _, seconds = timed(lambda: propose_regions(photo, settings), repeats, clock)
    return Measured("proposals, regions", f"{len(found)} masks", seconds)


def timed(run: Callable[[], T], repeats: int, clock: Clock) -> tuple[T, float]:
    """The result, and the median of the seconds that each of `repeats` runs took."""
    result, seconds = [], []
    for _ in range(repeats):
        before = clock()
        result = [run()]
        seconds.append(clock() - before)
    return result[0], float(np.median(seconds))


def show(title: str, rows: Sequence[Measured]) -> None:
    """Print the table."""
    table = Table(title=title, title_justify="left")
    for name in ("", "for a photo", "s", "photos/s", "one at a time", "difference"):
        table.add_column(name, justify="left" if name in ("", "for a photo") else "right")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.1f} x as long"
        difference = "" if row.difference is None else f"{row.difference:.1e}"
        table.add_row(row.what, row.items, f"{row.seconds:.3f}", f"{1 / row.seconds:.2f}", ratio, difference)
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photo", description=show.__doc__)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--architecture", default="ViT-B-16", help="an open_clip architecture, with random weights")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--proposals", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    params = read_params()
    settings = parse_section(
        ClipSettings, {**params["embed_clip"], "device": arguments.device, "dtype": arguments.dtype}, "embed_clip"
    )
    regions = params["sources"]["regions"]
    # On the CPU the processor's time, which a busy machine does not lengthen; else the wall's.
    clock = time.process_time if choose_device(arguments.device).type == "cpu" else time.perf_counter
    threads = f"{arguments.device}, {arguments.dtype}, {torch.get_num_threads()} threads"

    photo = draw_photo(*arguments.size)
    masks = draw_masks(arguments.proposals, *arguments.size)
    large = ClipEmbedder(settings, load_random(arguments.architecture, settings))
    rows = [
        measure_regions(
            photo, parse_section(RegionsSettings, {**regions, **PHOTO_REGIONS}, "regions"), arguments.repeats, clock
        )
    ]
    rows += measure_views(large, photo, masks, arguments.repeats, clock)
    show(f"{arguments.architecture}, a photo of {arguments.size[0]} x {arguments.size[1]}; {threads}", rows)

    scene = draw_scene(0).image
    few = draw_masks(8, *scene.shape[:2])
    rows = [measure_regions(scene, parse_section(RegionsSettings, regions, "regions"), arguments.repeats, clock)]
    rows += measure_views(ClipEmbedder(settings), scene, few, arguments.repeats, clock)
    show(f"The demo's model and scenes; {threads}", rows)


if __name__ == "__main__":
    run_command(main)
