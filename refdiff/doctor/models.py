"""The models that params.yaml names: there, complete, with a loadable header, and how large."""

import re
from math import prod
from pathlib import Path

from refdiff.checking.models import ModelFindings, ModelUse
from refdiff.doctor.findings import Finding, Section, State, format_bytes
from refdiff.safetensors_header import read_header

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


def describe_models(uses: list[ModelUse], found: ModelFindings) -> tuple[Section, dict[str, float]]:
    """What is to be said of the models; and their numbers of weights by parameter, as far as they are known.

    Args:
        uses: The models that the parameters name.
        found: What `examine_models` found of them.
    """
    findings: list[Finding] = []
    weights = {use.where: _KNOWN_BYTES[use.name] / _BYTES_OF_WEIGHT for use in uses if use.name in _KNOWN_BYTES}
    for use in uses:
        if use.where in found.facts:
            facts = found.facts[use.where]
            counted = weights[use.where] = sum(_count_weights(file) for file in facts.files)
            number = f"{counted / 1e6:,.0f} million" if counted >= 1e6 else f"{counted / 1e3:,.0f} thousand"
            size = format_bytes(facts.bytes)
            findings.append(Finding("ok", f"{use.where}: {use.name}, {number} weights in {size}"))
    findings += (_describe_fault("MISSING", line, _KNOWN_BYTES.get(use.name, 0.0)) for use, line in found.absent)
    findings += (_describe_fault("WRONG", line, 0.0) for line in found.problems)
    findings += (Finding("note", text) for _, text in found.warnings)
    return Section("models", tuple(findings)), weights


def _describe_fault(state: State, line: str, size: float) -> Finding:
    command = _COMMAND.search(line)
    if command is None:
        return Finding(state, line)
    return Finding("MISSING", line.replace(command.group(), "the command below"), (command[1],), size)


def _count_weights(file: Path) -> float:
    """From the header; of other forms, which have none, from the size."""
    if file.suffix != ".safetensors":
        return file.stat().st_size / _BYTES_OF_WEIGHT
    return sum(prod(shape) for _, shape in read_header(file).values())
