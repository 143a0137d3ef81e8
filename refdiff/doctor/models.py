"""The models that params.yaml names: there, complete, with a loadable header, and how large."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings, LayersBySize
from refdiff.doctor.findings import Finding, Section, format_bytes
from refdiff.errors import ModelError, RefdiffError, StoreError
from refdiff.params import parse_section
from refdiff.proposals.settings import PHOTO_SOURCES, SamSettings
from refdiff.safetensors_header import read_header

if TYPE_CHECKING:
    from refdiff.diffusion.inspection import PipelineFacts

_COMMAND = re.compile(r"`(hf download [^`]+)`")
_BYTES_OF_WEIGHT = 4
# Bytes of the files that are read, in single precision: for what is not here yet.
_KNOWN_BYTES = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": 4.265e9,
    "facebook/sam-vit-huge": 2.564e9,
    "facebook/sam-vit-large": 1.249e9,
    "facebook/sam-vit-base": 0.375e9,
    "facebook/sam2.1-hiera-tiny": 0.156e9,
    "ViT-B-16-quickgelu / openai": 0.599e9,
}


@dataclass(frozen=True, slots=True)
class NamedModel:
    """A model that params.yaml names.

    Attributes:
        where: The parameter.
        kind: What it is used for.
        name: As the parameter has it.
        device: Where it is to run.
        dtype: In which precision.
        inspect: Finds it, and refuses what can never work.
        check: What is asked of it that it cannot do, or hardly, by what `inspect` gave.
    """

    where: str
    kind: Literal["diffusion", "clip", "sam"]
    name: str
    device: str
    dtype: str
    inspect: Callable[[], Any]
    check: Callable[[Any], list[Finding]] = lambda _: []


def name_models(params: Mapping[str, Any]) -> Iterator[NamedModel]:
    """Every model of the parameters; sections that do not fit are left to the check of parameters."""
    from refdiff.clip.inspection import inspect_clip
    from refdiff.diffusion.inspection import inspect_pipeline
    from refdiff.proposals.inspection import inspect_sam

    if params.get("captures"):
        sd = _parse(lambda: parse_section(ExtractAttentionSettings, params.get("extract_attention"), ""))
        if sd is not None:
            yield NamedModel(
                "extract_attention.model",
                "diffusion",
                sd.model,
                sd.device,
                sd.dtype,
                lambda: inspect_pipeline(sd.model, sd.revision),
                lambda facts: _check_captures(facts, params["captures"]),
            )
    device = (params.get("propose_masks") or {}).get("device", "auto")
    for name, row in (params.get("sources") or {}).items():
        sam = _parse(lambda row=row: PHOTO_SOURCES.parse(row, ""))
        if isinstance(sam, SamSettings):
            where, inspect = f"sources.{name}.model", lambda sam=sam: inspect_sam(sam.model, sam.revision)
            yield NamedModel(where, "sam", sam.model, device, sam.dtype, inspect)
    clip = _parse(lambda: parse_section(ClipSettings, params.get("embed_clip"), ""))
    if clip is not None and params.get("sources"):
        label = clip.model if clip.pretrained is None else f"{clip.model} / {clip.pretrained}"
        where, inspect = "embed_clip.model", lambda: inspect_clip(clip.model, clip.pretrained)
        yield NamedModel(where, "clip", label, clip.device, clip.dtype, inspect)


def check_models(models: list[NamedModel]) -> tuple[Section, dict[str, float]]:
    """Each model; and its number of weights by the parameter that names it, as far as it is known."""
    findings: list[Finding] = []
    weights: dict[str, float] = {}
    for model in models:
        try:
            facts = model.inspect()
            counted = sum(_count_weights(file) for file in facts.files)
        except (ModelError, StoreError, OSError) as error:
            findings.append(_absent(model, error))
            if model.name in _KNOWN_BYTES:
                weights[model.where] = _KNOWN_BYTES[model.name] / _BYTES_OF_WEIGHT
            continue
        weights[model.where] = counted
        number = f"{counted / 1e6:,.0f} million weights in {format_bytes(facts.bytes)}"
        findings.append(Finding("ok", f"{model.where}: {model.name}, {number}"))
        findings += model.check(facts)
    return Section("models", tuple(findings)), weights


def _check_captures(facts: "PipelineFacts", rows: Mapping[str, Any]) -> list[Finding]:
    """Canvases that are far from the model's own, and map sizes that it has not."""
    findings: list[Finding] = []
    for name, row in rows.items():
        capture = _parse(lambda row=row: parse_section(CaptureSettings, row, ""))
        if capture is None:
            continue
        try:
            sides = set(facts.map_sides(capture.canvas_px).values())
        except RefdiffError as error:
            findings.append(Finding("MISSING", f"captures.{name}: {error}"))
            continue
        wanted = set(capture.cross_layers.map_px) if isinstance(capture.cross_layers, LayersBySize) else set()
        if wanted - sides:
            text = f"no layer has maps of {min(wanted - sides)} on a canvas of {capture.canvas_px} px"
            there = ", ".join(map(str, sorted(sides)))
            findings.append(Finding("MISSING", f"captures.{name}.cross_layers: {text}; expected some of: {there}"))
        if warning := facts.warn_of_canvas(capture.canvas_px):
            findings.append(Finding("note", f"captures.{name}: {warning}"))
    return findings


def _absent(model: NamedModel, error: Exception) -> Finding:
    text = f"{model.where}: {error}"
    command = _COMMAND.search(text)
    if command is None:
        return Finding("MISSING", text)
    size = _KNOWN_BYTES.get(model.name, 0.0)
    return Finding("MISSING", text.replace(command.group(), "the command below"), (command[1],), size)


def _count_weights(file: Path) -> float:
    """From the header; of other forms, which have none, from the size."""
    if file.suffix != ".safetensors":
        return file.stat().st_size / _BYTES_OF_WEIGHT
    return sum(prod(shape) for _, shape in read_header(file).values())


def _parse(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except RefdiffError:
        return None
