"""Everything that params.yaml says of one method, read at once, for use in memory (no torch)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.errors import ParameterError
from refdiff.fusion.settings import MethodSettings, check_source
from refdiff.heat.readout import ReadoutSettings
from refdiff.params import find, parse_section
from refdiff.paths import LOCAL_CLIP, expand
from refdiff.proposals.settings import (
    HEAT_SOURCES,
    PHOTO_SOURCES,
    PhotoSourceSettings,
    ProposeMasksSettings,
    ThresholdSettings,
)
from refdiff.text.settings import ParserSettings, read_parser_settings


@dataclass(frozen=True, slots=True)
class Recipe:
    """One method with all that it needs.

    Attributes:
        name: The method's name.
        method: Its row.
        text: How sentences are parsed.
        readouts: Its readout and that of its heat source, by name.
        captures: What those readouts read, by name.
        extraction: The U-Net; None where no heat is used.
        source: Where its candidates come from: a source per photo, or a heat source.
        proposing: Device and filters of a source per photo.
        clip: CLIP; None where the method does not use it.
    """

    name: str
    method: MethodSettings
    text: ParserSettings
    readouts: Mapping[str, ReadoutSettings]
    captures: Mapping[str, CaptureSettings]
    extraction: ExtractAttentionSettings | None
    source: PhotoSourceSettings | ThresholdSettings
    proposing: ProposeMasksSettings
    clip: ClipSettings | None


def read_recipe(params: dict[str, Any], name: str) -> Recipe:
    """The method `name` with all that it needs.

    Args:
        params: Content of params.yaml.
        name: A row of `methods`.

    Raises:
        ParameterError: The method, or something that it names, is not there or does not fit; or its source belongs to
            a dataset.
    """
    method = parse_section(MethodSettings, find(params, f"methods.{name}"), f"methods.{name}")
    check_source(name, method, _names(params, "sources"), _names(params, "heat_sources"))
    source = _read_source(params, name, method)
    used = [method.readout] if method.uses_heat and method.readout is not None else []
    if isinstance(source, ThresholdSettings):
        used.append(source.readout)
    readouts = {each: _read(ReadoutSettings, params, f"readouts.{each}") for each in dict.fromkeys(used)}
    captures = {
        readout.capture: _read(CaptureSettings, params, f"captures.{readout.capture}") for readout in readouts.values()
    }
    return Recipe(
        name=name,
        method=method,
        text=read_parser_settings(params),
        readouts=readouts,
        captures=captures,
        extraction=_read(ExtractAttentionSettings, params, "extract_attention") if readouts else None,
        source=source,
        proposing=_read(ProposeMasksSettings, params, "propose_masks"),
        clip=_read(ClipSettings, params, "embed_clip") if method.uses_clip else None,
    )


def locate_models(params: dict[str, Any], base: Path) -> dict[str, Any]:
    """The parameters with model folders that lie below `base` named from there; other names stay as they are.

    So a parameter file that names its models by relative folders works from any folder.

    Args:
        params: Content of params.yaml; not changed.
        base: The folder that the names are relative to.
    """
    places = {
        ("extract_attention", "model"): "",
        ("embed_clip", "model"): LOCAL_CLIP,
    }
    located = dict(params)
    for (section, key), prefix in places.items():
        content = located.get(section)
        if isinstance(content, dict) and isinstance(content.get(key), str):
            located[section] = {**content, key: _locate(content[key], prefix, base)}
    sources = located.get("sources")
    if isinstance(sources, dict):
        located["sources"] = {
            name: {**row, "model": _locate(row["model"], "", base)}
            if isinstance(row, dict) and isinstance(row.get("model"), str)
            else row
            for name, row in sources.items()
        }
    return located


def _locate(name: str, prefix: str, base: Path) -> str:
    folder = base / expand(name.removeprefix(prefix))
    if not name.startswith(prefix) or not name.removeprefix(prefix) or not folder.is_dir():
        return name
    return f"{prefix}{folder}"


def _read_source(params: dict[str, Any], name: str, method: MethodSettings) -> PhotoSourceSettings | ThresholdSettings:
    if method.proposals in _names(params, "heat_sources"):
        where = f"heat_sources.{method.proposals}"
        return HEAT_SOURCES.parse(find(params, where), where)
    where = f"sources.{method.proposals}"
    source = PHOTO_SOURCES.parse(find(params, where), where)
    if source.kind in ("file", "truth"):
        raise ParameterError(
            f"methods.{name}.proposals: {method.proposals!r} is of kind {source.kind}, whose masks belong to the "
            "photos of a dataset; expected a source of kind regions or sam, or a heat source, for a photo alone"
        )
    return source


def _read(model: Any, params: dict[str, Any], where: str) -> Any:
    return parse_section(model, find(params, where), where)


def _names(params: dict[str, Any], table: str) -> list[str]:
    rows = params.get(table)
    return [str(name) for name in rows] if isinstance(rows, dict) else []
