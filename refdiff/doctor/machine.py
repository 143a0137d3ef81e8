"""The machine and the installed packages."""

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path

from packaging.requirements import Requirement

from refdiff.doctor.findings import Finding, Section, format_bytes
from refdiff.errors import ModelError
from refdiff.layout import ARTIFACTS

# Named with their versions when all is well; the others are in order or named.
_MEMORY = 8e9
_SHOWN = ("torch", "diffusers", "transformers", "open_clip_torch", "spacy", "dvc", "zarr")


def check_machine() -> Section:
    """Processor, memory, accelerators and disk."""
    memory = f"{count_cores()} cores, {format_bytes(host_memory())} of memory"
    findings = [
        Finding("ok", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {memory}"),
        *_check_accelerators(),
        *_check_memory(),
        *_check_disk(),
    ]
    return Section("machine", tuple(findings))


def count_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def host_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(there).free


def check_packages(spacy_model: str | None) -> Section:
    """Versions against the ranges that refdiff was tried with, and the parser's language model."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires("refdiff") or ()]
    except importlib.metadata.PackageNotFoundError:
        finding = Finding("MISSING", "refdiff is not installed here", ("pip install -e .",))
        return Section("packages", (finding,))
    wanted = [each for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    findings = [finding for each in wanted if (finding := _check_package(each)) is not None]
    if not findings:
        shown = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _SHOWN)
        findings.append(Finding("ok", f"all {len(wanted)} in their ranges: {shown} ..."))
    if spacy_model is not None:
        findings.append(_check_language(spacy_model))
    return Section("packages", tuple(findings))


def _check_package(wanted: Requirement) -> Finding | None:
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        version = "nothing"
    if version != "nothing" and wanted.specifier.contains(version, prereleases=True):
        return None
    text = f"{wanted.name}: expected {wanted.specifier}, got {version}"
    return Finding("MISSING", text, (f"pip install '{wanted.name}{wanted.specifier}'",))


def _check_language(name: str) -> Finding:
    from refdiff.text.language import find_package

    try:
        return Finding("ok", f"spaCy's {find_package(name)}")
    except ModelError as error:
        return Finding("MISSING", str(error))


def _check_accelerators() -> list[Finding]:
    import torch

    if torch.cuda.is_available():
        parts = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        return [
            Finding("ok", f"cuda:{n}: {part.name}, {format_bytes(part.total_memory)}") for n, part in enumerate(parts)
        ]
    return [Finding("note", "no CUDA accelerator: networks run on the processor, in float32 or bfloat16")]


def _check_memory() -> list[Finding]:
    if host_memory() >= _MEMORY:
        return []
    return [
        Finding(
            "note",
            f"less than {format_bytes(_MEMORY)} of memory: Stable Diffusion 1.5 takes 6 to 7 GB of it (8 at 1,024 "
            "px), SAM ViT-H 6 GB, CLIP ViT-B/16 2 to 8.5 GB",
        )
    ]


def _check_disk() -> list[Finding]:
    """Artifacts, work and DVC's cache, which often lie on one disk."""
    free: dict[str, list[str]] = {}
    for folder in (ARTIFACTS, Path(".work"), Path(".dvc/cache")):
        free.setdefault(format_bytes(free_disk(folder)), []).append(str(folder))
    return [Finding("ok", f"{size} of disk free for {', '.join(folders)}") for size, folders in free.items()]
