"""How rows of params.yaml go together: names that others use, and values that only others can satisfy."""

from collections.abc import Iterator

from refdiff.checking.sections import Project
from refdiff.diffusion.settings import CaptureSettings
from refdiff.diffusion.settings import LayersBySize as CapturedSizes
from refdiff.errors import ParameterError
from refdiff.fusion.settings import MethodSettings, TextMix, check_source
from refdiff.heat.readout import LayersBySize, ReadoutSettings
from refdiff.parameter_words import expected_names
from refdiff.paths import expand


def find_conflicts(project: Project) -> Iterator[str]:
    """A line for each thing that does not go together."""
    names, rows = project.names, project.rows
    yield from _check_splits(project)
    for name, readout in rows["readouts"].items():
        yield from _refuse_unknown(f"readouts.{name}.capture", readout.capture, "capture", names["captures"])
        capture = rows["captures"].get(readout.capture)
        if capture is not None:
            yield from _check_readout(name, readout, capture)
    for name, source in rows["heat_sources"].items():
        yield from _refuse_unknown(f"heat_sources.{name}.readout", source.readout, "readout", names["readouts"])
    for name in set(names["sources"]) & set(names["heat_sources"]):
        yield f"heat_sources: {name!r} is a name of sources too, and both would write one file; rename one"
    for name, method in rows["methods"].items():
        yield from _check_method(name, method, project)
    report = project.sections.get("render_report")
    if report is not None and report.ranked_by is not None:
        yield from _refuse_unknown("render_report.ranked_by", report.ranked_by, "method", names["methods"])


def _check_splits(project: Project) -> Iterator[str]:
    folders = {f"splits.{name}.folder": row.folder for name, row in project.rows["splits"].items()}
    if "draw_scenes" in project.sections:
        folders["draw_scenes.folder"] = project.sections["draw_scenes"].folder
    for where, folder in folders.items():
        if folder.startswith("~"):
            # Every other path is expanded; this one DVC reads too.
            yield (
                f"{where}: DVC watches this folder and knows no home folders, got {folder!r}; "
                f"write {str(expand(folder))!r}"
            )


def _check_readout(name: str, readout: ReadoutSettings, capture: CaptureSettings) -> Iterator[str]:
    runs = capture.schedule.runs
    if readout.steps != "all":
        beyond = [step for step in readout.steps if step >= runs]
        if beyond:
            yield (
                f"readouts.{name}.steps: {beyond[0]} is beyond capture {readout.capture!r}, which runs the U-Net "
                f"{runs} times; expected 0 to {runs - 1}"
            )
    kept = capture.cross_layers
    if isinstance(readout.layers, LayersBySize) and isinstance(kept, CapturedSizes):
        yield from _refuse_not_kept(f"{name}.layers.map_px", readout.layers.map_px, kept.map_px, readout.capture)
    elif isinstance(readout.layers, tuple) and isinstance(kept, tuple):
        yield from _refuse_not_kept(f"{name}.layers", readout.layers, kept, readout.capture)


def _refuse_not_kept(where: str, wanted: tuple[object, ...], kept: tuple[object, ...], capture: str) -> Iterator[str]:
    missing = [each for each in wanted if each not in kept]
    if missing:
        yield (
            f"readouts.{where}: {missing[0]!r} is not kept by capture {capture!r}; expected some of: "
            f"{', '.join(map(str, kept))}; correct the readout or captures.{capture}.cross_layers"
        )


def _check_method(name: str, method: MethodSettings, project: Project) -> Iterator[str]:
    names, where = project.names, f"methods.{name}"
    try:
        check_source(name, method, names["sources"], names["heat_sources"])
    except ParameterError as error:
        yield str(error)
    if method.readout is not None:
        yield from _refuse_unknown(f"{where}.readout", method.readout, "readout", names["readouts"])
    if method.select.rule in ("fixed", "otsu") and method.proposals in names["sources"]:
        yield (
            f"{where}.select.rule: {method.select.rule} needs masks that were cut from a heat map, got source "
            f"{method.proposals!r}; use argmax or area, or a name of heat_sources: "
            f"{', '.join(names['heat_sources']) or 'none there'}"
        )
    if not method.uses_clip:
        return
    clip = project.sections.get("embed_clip")
    for view in ("local", "global"):
        ramp, embedded = getattr(method, f"{view}_ramp"), getattr(clip, f"{view}_ramps", None)
        if embedded is not None and ramp not in embedded:
            yield (
                f"{where}.{view}_ramp: {ramp} is not embedded; expected one of: {', '.join(embedded)}; "
                f"choose another or add it to embed_clip.{view}_ramps"
            )
    used = {"text_local": 1.0 - method.beta, "text_global": method.beta}
    if all(_is_empty(getattr(method, mix)) for mix, share in used.items() if share > 0):
        mixes = " and ".join(mix for mix, share in used.items() if share > 0)
        yield f"{where}: every weight of {mixes} is 0, so that CLIP tells no mask from another; give one a weight"


def _is_empty(mix: TextMix) -> bool:
    return mix.expression == 0.0 and mix.head == 0.0


def _refuse_unknown(where: str, name: str, kind: str, known: tuple[str, ...]) -> Iterator[str]:
    if name not in known:
        yield f"{where}: no {kind} {name!r}; {expected_names(name, known)}; correct the name"
