"""Whether the maps that captures keep and readouts read are the model's, told from its configurations."""

from collections.abc import Iterator, Mapping
from typing import Any

from refdiff.checking.sections import Project
from refdiff.diffusion.inspection import PipelineFacts
from refdiff.diffusion.schedule import plan_runs
from refdiff.errors import ParameterError


def find_map_conflicts(project: Project, pipeline: PipelineFacts) -> Iterator[str]:
    """A line for each capture that the model cannot make, and for each readout that its capture has nothing for.

    Args:
        project: All of params.yaml, which fits.
        pipeline: The model.
    """
    for name, capture in project.rows["captures"].items():
        try:
            sides = pipeline.map_sides(capture.canvas_px)
            plan_runs(capture.schedule, pipeline.train_timesteps)
            own = {layer.replace("attn2", "attn1"): side for layer, side in sides.items()}
            pick_layers(capture.self_layers, own, "self_layers", "the model")
            kept = pick_layers(
                capture.cross_layers, sides, "cross_layers", f"the model at canvas_px {capture.canvas_px}"
            )
        except ParameterError as error:
            yield f"captures.{name}.{error}"
            continue
        for reader, readout in project.rows["readouts"].items():
            if readout.capture != name:
                continue
            try:
                pick_layers(readout.layers, kept, "layers", f"capture {name!r}")
            except ParameterError as error:
                yield f"readouts.{reader}.{error}"


def pick_layers(wanted: Any, sides: Mapping[str, int], parameter: str, owner: str) -> Mapping[str, int]:
    """The layers that are wanted of those that are there, by name, with the sides of their maps.

    Args:
        wanted: As a capture's `cross_layers` or a readout's `layers`.
        sides: The layers that are there.
        parameter: What messages call `wanted`.
        owner: What they call the model or capture that has the layers.

    Raises:
        ParameterError: One is not there.
    """
    if wanted == "all":
        return sides
    by_name = isinstance(wanted, tuple)
    names, there = (wanted, list(sides)) if by_name else (wanted.map_px, sorted(set(sides.values())))
    missing = [each for each in names if each not in there]
    if missing:
        what = f"{parameter}: {owner} has no layer {missing[0]!r}"
        if not by_name:
            what = f"{parameter}.map_px: {owner} has no maps of side {missing[0]}"
        raise ParameterError(f"{what}; expected some of: {', '.join(map(str, there))}")
    return {layer: side for layer, side in sides.items() if (layer if by_name else side) in names}
