"""The models that params.yaml names: there, complete, with a loadable header, and how large."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refdiff.checking.sections import Project
from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings, LayersBySize
from refdiff.doctor.findings import Finding, Section, format_bytes
from refdiff.errors import ModelError, RefdiffError, StoreError
from refdiff.proposals.settings import ProposeMasksSettings, SamSettings
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
        name: As the parameter has it.
        device: Where it is to run.
        dtype: In which precision.
        inspect: Finds it, and refuses what can never work.
        check: What is asked of it that it cannot do, or hardly, by what `inspect` gave.
    """

    where: str
    name: str
    device: str
    dtype: str
    inspect: Callable[[], Any]
    check: Callable[[Any], list[Finding]] = lambda _: []


def name_models(project: Project) -> Iterator[NamedModel]:
    """Every model that what fits of the parameters names."""
    from refdiff.clip.checkpoint import describe_checkpoint
    from refdiff.clip.inspection import inspect_clip
    from refdiff.diffusion.inspection import inspect_pipeline
    from refdiff.proposals.inspection import inspect_sam

    sd: ExtractAttentionSettings | None = project.sections.get("extract_attention")
    captures = project.rows["captures"]
    if sd is not None and captures:
        yield NamedModel(
            "extract_attention.model",
            sd.model,
            sd.device,
            sd.dtype,
            lambda: inspect_pipeline(sd.model, sd.revision),
            lambda facts: _check_captures(facts, captures),
        )
    proposing: ProposeMasksSettings | None = project.sections.get("propose_masks")
    sources = project.rows["sources"]
    for name, sam in sources.items():
        if isinstance(sam, SamSettings) and proposing is not None:
            where, inspect = f"sources.{name}.model", partial(inspect_sam, sam.model, sam.revision)
            yield NamedModel(where, sam.model, proposing.device, sam.dtype, inspect)
    clip: ClipSettings | None = project.sections.get("embed_clip")
    if clip is not None and sources:
        label, inspect = (
            describe_checkpoint(clip.model, clip.pretrained),
            partial(inspect_clip, clip.model, clip.pretrained),
        )
        yield NamedModel("embed_clip.model", label, clip.device, clip.dtype, inspect)


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
        number = f"{counted / 1e6:,.0f} million" if counted >= 1e6 else f"{counted / 1e3:,.0f} thousand"
        size = format_bytes(facts.bytes)
        findings.append(Finding("ok", f"{model.where}: {model.name}, {number} weights in {size}"))
        findings += model.check(facts)
    return Section("models", tuple(findings)), weights


def _check_captures(facts: "PipelineFacts", captures: Mapping[str, CaptureSettings]) -> list[Finding]:
    """Canvases that are far from the model's own, and map sizes that it has not."""
    findings: list[Finding] = []
    for name, capture in captures.items():
        try:
            sides = set(facts.map_sides(capture.canvas_px).values())
        except RefdiffError as error:
            findings.append(Finding("WRONG", f"captures.{name}: {error}"))
            continue
        wanted = set(capture.cross_layers.map_px) if isinstance(capture.cross_layers, LayersBySize) else set()
        if wanted - sides:
            text = f"no layer has maps of {min(wanted - sides)} on a canvas of {capture.canvas_px} px"
            there = ", ".join(map(str, sorted(sides)))
            findings.append(Finding("WRONG", f"captures.{name}.cross_layers: {text}; expected some of: {there}"))
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
