"""`python -m demo.pointing`: how often the head word's attention points at the object that is meant.

On validation scenes, the heat of the sentence's noun is averaged inside and outside the visible pixels of each object
of its scene (the generative score, with the true masks as proposals); the object with the greatest difference counts
as pointed at. Chance is the mean of one over the number of objects.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from demo.refer_form import VALIDATION_SEEDS
from demo.scenes import Scene, draw_scene
from demo.sentences import KINDS, Sentence, describe
from refdiff.command import run_command
from refdiff.demo.models import DIFFUSION
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings, Quantity, SingleSchedule
from refdiff.geometry import square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.readout import LayersBySize, ReadoutSettings

EVERY_KIND = "all"


@dataclass(frozen=True)
class PointingPlan:
    """What is measured.

    Attributes:
        scenes: Seeds of the scenes, all of them validation seeds.
        sentences_per_scene: Sentences of each scene.
        timesteps: Training timesteps at which the photo is noised and the U-Net runs once.
        canvas_px: Side of the model's canvas.
        guidance: Scale of the guided logits.
        seed: Seed of sentences and noise.
    """

    scenes: range = range(50_000, 50_060)
    sentences_per_scene: int = 4
    timesteps: tuple[int, ...] = (2, 51, 201, 401)
    canvas_px: int = 64
    guidance: float = 9.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse seeds of training scenes.

        Raises:
            ValueError: A scene's seed is no validation seed.
        """
        if self.scenes.start not in VALIDATION_SEEDS or self.scenes[-1] not in VALIDATION_SEEDS:
            raise ValueError(
                f"pointing: scenes {self.scenes.start} to {self.scenes[-1]}; expected seeds within "
                f"{VALIDATION_SEEDS.start} to {VALIDATION_SEEDS.stop - 1}; others belong to the training"
            )


@dataclass
class Tally:
    """How many sentences were counted, how many pointed right, and how many would have by chance."""

    sentences: int = 0
    hits: int = 0
    by_chance: float = 0.0


def capture_settings(plan: PointingPlan, timestep: int, quantity: Quantity) -> CaptureSettings:
    """The capture of one timestep: probabilities without guidance (paper), or guided logits (released code)."""
    guided = quantity == "logits"
    return CaptureSettings(
        schedule=SingleSchedule(kind="single", timesteps=(timestep,)),
        guidance=plan.guidance if guided else 1.0,
        quantity=quantity,
        guided_maps=guided,
        canvas_px=plan.canvas_px,
        canvas_mode="letterbox",
        prompt_suffix=", " if guided else "",
        negative_prompt="",
        sample_posterior=False,
        cross_layers="all",
        self_layers=(),
    )


def readout_settings(quantity: Quantity, map_px: tuple[int, ...] | None) -> ReadoutSettings:
    """The readout of a quantity, from the layers whose maps have one of these sides or, for None, from all layers."""
    return ReadoutSettings(
        capture="pointing",
        token_rule="root",
        piece="last",
        layers="all" if map_px is None else LayersBySize(map_px=map_px),
        steps="all",
        normalize="minmax_each" if quantity == "logits" else "mean_then_minmax",
        upsampling="bilinear",
        round_to_8_bit=False,
    )


def noun_position(sentence: Sentence) -> int:
    """Prompt position of the sentence's own noun, start token = 0; each word of the demo's grammar is one token."""
    return sentence.text.split().index(sentence.claim.shape) + 1


def pointed_at(heat: np.ndarray[tuple[int, int], np.dtype[np.float32]], scene: Scene) -> int:
    """Index of the object with the greatest mean heat inside its visible pixels minus mean heat outside.

    Args:
        heat: Heat of the photo, float32 `[height width]`.
        scene: The scene.
    """
    contrasts = [float(heat[item.mask].mean() - heat[~item.mask].mean()) for item in scene.objects]
    return int(np.argmax(contrasts))


def measure_pointing(
    extractor: AttentionExtractor, plan: PointingPlan, quantity: Quantity, map_px: tuple[int, ...] | None = None
) -> dict[tuple[int, str], Tally]:
    """Tallies by timestep and kind of sentence; kind `EVERY_KIND` holds all of them.

    Args:
        extractor: The model.
        plan: What is measured.
        quantity: "probabilities", or "logits" for guided logits.
        map_px: Read only the layers whose maps have one of these sides.
    """
    readout = readout_settings(quantity, map_px)
    tallies: dict[tuple[int, str], Tally] = defaultdict(Tally)
    for seed in plan.scenes:
        scene = draw_scene(seed)
        frame = square_frame(*scene.size_hw, "letterbox")
        said = describe(scene, np.random.default_rng([plan.seed, seed]), plan.sentences_per_scene)
        texts = [sentence.text for _, sentence in said]
        for timestep in plan.timesteps:
            capture = capture_settings(plan, timestep, quantity)
            maps = extractor.capture(scene.image, str(seed), texts, capture)
            for (target, sentence), crossed in zip(said, maps, strict=True):
                heat = heat_map(crossed, (noun_position(sentence),), readout, frame)
                hit = pointed_at(heat, scene) == target
                for kind in (sentence.kind, EVERY_KIND):
                    tally = tallies[timestep, kind]
                    tally.sentences += 1
                    tally.hits += hit
                    tally.by_chance += 1 / len(scene.objects)
    return dict(tallies)


def format_tallies(tallies: dict[tuple[int, str], Tally], plan: PointingPlan) -> str:
    """A table: a row per kind of sentence, a column per timestep, chance at the end."""
    rows = ["kind        " + "".join(f"  t={timestep:<5}" for timestep in plan.timesteps) + " chance  sentences"]
    for kind in (*KINDS, EVERY_KIND):
        cells = [tallies.get((timestep, kind), Tally()) for timestep in plan.timesteps]
        if not cells[0].sentences:
            continue
        shares = "".join(f"  {cell.hits / cell.sentences:<7.2f}" for cell in cells)
        rows.append(f"{kind:<12}{shares} {cells[0].by_chance / cells[0].sentences:<7.2f} {cells[0].sentences}")
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m demo.pointing", description=__doc__)
    parser.add_argument("--model", type=Path, default=DIFFUSION, help="pipeline folder (default: the package's own)")
    parser.add_argument("--scenes", type=int, default=len(PointingPlan().scenes), help="number of scenes")
    parser.add_argument("--timesteps", type=int, nargs="+", default=list(PointingPlan().timesteps))
    parser.add_argument("--map-px", type=int, nargs="+", help="only layers whose maps have one of these sides")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    first = PointingPlan().scenes.start
    plan = PointingPlan(scenes=range(first, first + arguments.scenes), timesteps=tuple(arguments.timesteps))
    settings = ExtractionSettings(
        model=str(arguments.model),
        revision=None,
        device="cpu",
        dtype="float32",
        batch_sentences="auto",
        compile=False,
        seed=plan.seed,
    )
    extractor = AttentionExtractor(settings)
    map_px = None if arguments.map_px is None else tuple(arguments.map_px)
    quantities: tuple[Quantity, ...] = ("probabilities", "logits")
    for quantity in quantities:
        name = "guided logits" if quantity == "logits" else quantity
        print(f"{name}, layers {'all' if arguments.map_px is None else ', '.join(map(str, arguments.map_px))}")
        print(format_tallies(measure_pointing(extractor, plan, quantity, map_px), plan), flush=True)


if __name__ == "__main__":
    run_command(main)
