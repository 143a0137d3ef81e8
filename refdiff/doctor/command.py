"""The command `refdiff doctor`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from refdiff.command import EXIT_REFUSED
from refdiff.doctor.findings import FAULTS, Finding, Section, format_bytes, format_sections
from refdiff.params import PARAMS_FILE, read_params
from refdiff.paths import expand
from refdiff.presets.table import PRESETS, one_of
from refdiff.recipe import locate_models

if TYPE_CHECKING:
    from refdiff.checking.sections import Project
    from refdiff.text.settings import ParseTextSettings


def add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `doctor` to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="say what is here of what params.yaml needs, and what brings the rest",
        description="Check machine, packages, models, datasets and all parameters before hours are spent; name the "
        "command that brings what is missing, and the hours and bytes to expect. Nothing is downloaded or changed. "
        "Exit code 2 when something is missing.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--params", type=Path, default=PARAMS_FILE, metavar="FILE", help="params.yaml if absent")
    which.add_argument(
        "--preset", type=one_of(PRESETS), choices=PRESETS, help="a preset, for one photo, without datasets"
    )
    parser.set_defaults(run=_examine)


def _examine(arguments: argparse.Namespace) -> None:
    """Print all findings; end with exit code 2 if something is missing.

    Raises:
        ParameterError: The parameters are no YAML mapping.
    """
    sections = examine(arguments.params, arguments.preset)
    print(format_sections(sections))
    absent = [finding for section in sections for finding in section.findings if finding.state in FAULTS]
    if not absent:
        print("\nall is there")
        return
    size = sum(finding.download for finding in absent)
    how = "; see the lines that begin with $" if any(finding.run for finding in absent) else ""
    print(f"\nmissing or wrong: {len(absent)}{how}{f' ({format_bytes(size)} to download)' if size else ''}")
    sys.exit(EXIT_REFUSED)


def examine(path: Path, preset: str | None) -> list[Section]:
    """All sections of the report.

    Args:
        path: The parameter file.
        preset: A preset instead of it, for one photo without a dataset.

    Raises:
        ParameterError: The parameters are no YAML mapping.
    """
    from refdiff.checking.models import examine_models, list_models
    from refdiff.checking.project import list_problems
    from refdiff.doctor.cost import estimate
    from refdiff.doctor.datasets import ONE_PHOTO, check_datasets
    from refdiff.doctor.machine import check_machine, check_packages
    from refdiff.doctor.models import describe_models

    path = expand(path)
    params = locate_models(read_params(path), path.resolve().parent) if preset is None else PRESETS[preset].read()
    project, problems = list_problems(params)
    models, found = list(list_models(project)), examine_models(project)
    described, weights = describe_models(models, found)
    parsing: ParseTextSettings | None = project.sections.get("parse_text")
    sections = [
        _describe_parameters(project, problems, str(path) if preset is None else f"preset {preset}"),
        check_machine(),
        check_packages(None if parsing is None else parsing.spacy_model),
        described,
    ]
    sizes = ONE_PHOTO
    if preset is None:
        datasets, sizes = check_datasets(project)
        sections.append(datasets)
    return [*sections, estimate(project, sizes, models, weights, found.facts.get("extract_attention.model"))]


def _describe_parameters(project: "Project", problems: list[str], name: str) -> Section:
    """All sections and how rows go together."""
    tables = ("splits", "captures", "sources", "methods")
    rows = "; ".join(f"{table} {', '.join(project.names.get(table, ()))}" for table in tables)
    faults = tuple(Finding("WRONG", problem) for problem in problems)
    return Section("parameters", faults or (Finding("ok", f"{name}: {rows}"),))
