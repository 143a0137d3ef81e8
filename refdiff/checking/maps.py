"""Whether the maps that captures keep and readouts read are the model's, told from its configurations."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from refdiff.checking.sections import Project
from refdiff.diffusion.schedule import plan_runs
from refdiff.errors import ParameterError

SCHEDULER = "scheduler/scheduler_config.json"


class Pipeline(Protocol):
    """What is known of a Stable Diffusion pipeline that is here; see `refdiff.diffusion.inspection`."""

    @property
    def folder(self) -> Any: ...

    def map_sides(self, canvas_px: int) -> Mapping[str, int]:
        """Side of each cross-attention layer's maps, by the layer's dotted name."""
        ...


def find_map_conflicts(project: Project, pipeline: Pipeline) -> Iterator[str]:
    """A line for each capture that the model cannot make, and for each readout that its capture has nothing for.

    Args:
        project: All of params.yaml, which fits.
        pipeline: The model.
    """
    trained = json.loads((pipeline.folder / SCHEDULER).read_text(encoding="utf-8"))["num_train_timesteps"]
    for name, capture in project.rows["captures"].items():
        try:
            sides = pipeline.map_sides(capture.canvas_px)
            plan_runs(capture.schedule, trained)
            own = {layer.replace("attn2", "attn1"): side for layer, side in sides.items()}
            _pick(capture.self_layers, own, "self_layers", "the model")
            kept = _pick(capture.cross_layers, sides, "cross_layers", f"the model at canvas_px {capture.canvas_px}")
        except ParameterError as error:
            yield f"captures.{name}.{error}"
            continue
        for reader, readout in project.rows["readouts"].items():
            if readout.capture != name:
                continue
            try:
                _pick(readout.layers, kept, "layers", f"capture {name!r}")
            except ParameterError as error:
                yield f"readouts.{reader}.{error}"


def _pick(wanted: Any, sides: Mapping[str, int], parameter: str, owner: str) -> Mapping[str, int]:
    """The layers that are wanted of those that are there, by name.

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
