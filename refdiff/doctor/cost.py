"""Hours and bytes to expect of a run on this machine."""

import time
from collections.abc import Mapping
from contextlib import suppress

from refdiff.checking.models import ModelUse
from refdiff.checking.sections import Project
from refdiff.clip.settings import ClipSettings
from refdiff.device import check_precision, choose_device
from refdiff.diffusion.inspection import PipelineFacts
from refdiff.diffusion.settings import ExtractAttentionSettings
from refdiff.doctor import operations
from refdiff.doctor.datasets import SplitSize
from refdiff.doctor.findings import Finding, Section, format_bytes
from refdiff.doctor.machine import count_cores, free_disk
from refdiff.errors import ParameterError, RefdiffError
from refdiff.layout import ARTIFACTS
from refdiff.model_files import ModelFacts
from refdiff.proposals.settings import RegionsSettings

_SHARE_OF_PEAK = 0.5
_PEAK_SIDE = {"cpu": 1024, "cuda": 8192}
_MINIATURE = 50e6  # weights; what was counted of real architectures says nothing of these
_REGIONS_S = 0.2  # of one core, a photo
Kept = dict[str, list[int]]
"""Sides of the maps that each capture keeps."""
_SD = "extract_attention.model"
_VAE, _VAE_DTYPE = "its autoencoder", "float32"
_COPIES = 2  # artifacts, with which work folders share their files, and DVC's cache


def estimate(
    project: Project,
    sizes: Mapping[str, SplitSize],
    models: list[ModelUse],
    weights: Mapping[str, float],
    pipeline: ModelFacts | None,
) -> Section:
    """A line for each split: hours of the stages that cost, and bytes.

    Args:
        project: What fits of params.yaml.
        sizes: Of the splits.
        models: Those that the parameters name.
        weights: Their numbers of weights, by parameter; those that are not known are left out.
        pipeline: Stable Diffusion, where it is here.
    """
    title = "to expect"
    if not sizes:
        return Section(title, (Finding("note", "the size of no split is known yet: fetch the annotations first"),))
    if models and sum(weights.values()) < _MINIATURE and len(weights) == len(models):
        return Section(title, (Finding("ok", "the models are miniatures: minutes"),))
    try:
        networks = {model.where: (model.device, model.dtype) for model in models}
        if _SD in networks:
            networks[_VAE] = networks[_SD][0], _VAE_DTYPE
        places = {place: where for where, place in networks.items()}
        speeds = {place: _speed(*place, where) for place, where in places.items()}
    except RefdiffError as error:
        return Section(title, (Finding("WRONG", str(error)),))
    rates = {where: _SHARE_OF_PEAK * speeds[place] for where, place in networks.items()}
    kept = _find_kept_sides(project, pipeline)
    lines = [_HEADER]
    total = [0.0] * 4
    for name, size in sizes.items():
        figures = [*_seconds(project, kept, size, weights, rates), _bytes(project, kept, size)]
        total = [one + other for one, other in zip(total, figures, strict=True)]
        lines.append(_line(name, size, figures))
    if len(sizes) > 1:
        lines.append(_line("together", SplitSize(0, 0, 0.0, True), total))
    measured = {f"{speed / 1e12:.2g} TFLOP/s in {dtype}" for (_, dtype), speed in speeds.items()}
    text = (
        f"operations of the real architectures at half of the speed of a matrix product, measured now: "
        f"{', '.join(sorted(measured))}. {operations.CANDIDATES} masks a photo are assumed. Hours are right to a "
        "factor of two or three, bytes to one and a half"
    )
    unknown = [model.name for model in models if model.where not in weights]
    if unknown:
        text += f"; without {', '.join(unknown)}, whose size is not known yet"
    findings = [Finding("note", text)]
    if _COPIES * total[3] > free_disk(ARTIFACTS):
        need = format_bytes(_COPIES * total[3])
        findings.append(Finding("MISSING", f"disk: artifacts and DVC's cache of them take about {need}; free some"))
    return Section(title, tuple(findings), tuple(lines))


_HEADER = f"{'split':<24} {'photos':>7} {'sentences':>9}  {'attention':>10} {'masks':>10} {'CLIP':>10}  {'disk':>8}"


def _line(name: str, size: SplitSize, figures: list[float]) -> str:
    counts = f"{size.photos:>7,} {size.sentences:>9,}" if size.photos else " " * 17
    times = " ".join(f"{_format_time(seconds):>10}" for seconds in figures[:3])
    return f"{name:<24} {counts}  {times}  {format_bytes(figures[3]):>8}"


def _format_time(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}" if seconds >= 10 * length else f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"


def _seconds(
    project: Project, kept: Kept, size: SplitSize, weights: Mapping[str, float], rates: Mapping[str, float]
) -> tuple[float, float, float]:
    """Of extract_attention, propose_masks and embed_clip."""
    attention = masks = embedding = 0.0
    for name, sides in kept.items() if _SD in weights else ():
        capture = project.rows["captures"][name]
        attention += operations.vae_operations(capture, size, weights[_SD]) / rates[_VAE]
        attention += operations.unet_operations(capture, size, weights[_SD], sides) / rates[_SD]
    clip: ClipSettings | None = project.sections.get("embed_clip")
    for name, source in project.rows["sources"].items():
        where = f"sources.{name}.model"
        if where in weights:
            masks += operations.mask_operations(source, size, weights[where]) / rates[where]
        elif isinstance(source, RegionsSettings):
            masks += size.photos * _REGIONS_S
        where = "embed_clip.model"
        if clip is not None and where in weights:
            embedding += operations.clip_operations(clip, size, weights[where]) / rates[where]
            embedding += operations.crop_seconds(clip, size) / count_cores()
    return attention, masks, embedding


def _bytes(project: Project, kept: Kept, size: SplitSize) -> float:
    captures, sources = project.rows["captures"], project.rows["sources"]
    total = sum(operations.attention_bytes(captures[name], size, sides) for name, sides in kept.items())
    extraction: ExtractAttentionSettings | None = project.sections.get("extract_attention")
    if extraction is not None and extraction.keep_latents:
        latents = {(each.canvas_px, each.sample_posterior): each for each in captures.values()}
        total += sum(operations.latent_bytes(each, size) for each in latents.values())
    clip: ClipSettings | None = project.sections.get("embed_clip")
    if clip is not None:
        total += len(sources) * operations.clip_bytes(clip, size)
    heat_masks = sum(len(each.thresholds) for each in project.rows["heat_sources"].values())
    return total + operations.mask_bytes(size, heat_masks)


def _find_kept_sides(project: Project, pipeline: ModelFacts | None) -> Kept:
    """Of the captures that the model can make; the others are named among the models."""
    found: Kept = {}
    known = pipeline if isinstance(pipeline, PipelineFacts) else None
    for name, capture in project.rows["captures"].items():
        with suppress(ParameterError):
            found[name] = operations.kept_sides(capture, known)
    return found


def _speed(device: str, dtype: str, where: str) -> float:
    """Operations a second of a large matrix product, where and as the network of a parameter is to run.

    Raises:
        RefdiffError: There is no such device, or it does not compute in this precision.
    """
    import torch

    place = choose_device(device)
    check_precision(place, dtype, where)
    side = _PEAK_SIDE.get(place.type, 1024)
    one = torch.randn(side, side, device=place).to(getattr(torch, dtype))
    best = float("inf")
    for _ in range(4):  # the first one sets up
        started = time.perf_counter()
        float((one @ one)[0, 0])  # waits for the accelerator
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best
