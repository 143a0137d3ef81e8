"""Every section of params.yaml and every row, typed; whatever does not fit becomes a line."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from refdiff.clip.settings import ClipSettings
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.demo.settings import DrawSettings
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.engine.settings import EngineSettings
from refdiff.errors import ParameterError
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.parameter_words import did_you_mean
from refdiff.params import Section, validate
from refdiff.proposals.settings import HEAT_SOURCES, PHOTO_SOURCES, ProposeMasksSettings, SourceRows
from refdiff.report.settings import RenderReportSettings
from refdiff.text.settings import ParseTextSettings

Validated = tuple[Section | None, list[str]]

_SECTIONS: Mapping[str, type[Section]] = {
    "prepare_dataset": PrepareDatasetSettings,
    "parse_text": ParseTextSettings,
    "draw_scenes": DrawSettings,
    "engine": EngineSettings,
    "extract_attention": ExtractAttentionSettings,
    "propose_masks": ProposeMasksSettings,
    "embed_clip": ClipSettings,
    "fuse_scores": FuseScoresSettings,
    "evaluate_masks": EvaluateMasksSettings,
    "render_report": RenderReportSettings,
}


def _source_row(rows: SourceRows[Any], row: object, where: str) -> Validated:
    try:
        return validate(rows.kind_of(row, where), row, where)
    except ParameterError as error:
        return None, [str(error)]


# Sections of rows that people name.
TABLES: Mapping[str, Callable[[object, str], Validated]] = {
    "splits": partial(validate, SplitRow),
    "captures": partial(validate, CaptureSettings),
    "readouts": partial(validate, ReadoutSettings),
    "sources": partial(_source_row, PHOTO_SOURCES),
    "heat_sources": partial(_source_row, HEAT_SOURCES),
    "methods": partial(validate, MethodSettings),
}
# They may have no rows: a project may use only sources, or only heat sources.
_MAY_BE_EMPTY = ("sources", "heat_sources")

# What DVC takes in the name of a stage, with what YAML reads as a number or a date left out.
_ROW_NAME = re.compile(r"[^\W\d_][\w-]*")
_YAML_WORDS = ("true", "false", "yes", "no", "on", "off", "y", "n", "null")
# Artifacts of a split that lie where a method's folder would.
_ARTIFACTS = ("dataset", "attention", "proposals", "clip", "overlap", "pooled")
LETTERS = "letters, digits, _ and -, a letter first"


@dataclass(frozen=True, slots=True)
class Project:
    """What fits of params.yaml.

    Attributes:
        names: Names of all rows by table, of those that do not fit too; a table that is none is left out.
        rows: Typed rows by table and name.
        sections: Typed sections by name.
    """

    names: Mapping[str, tuple[str, ...]]
    rows: Mapping[str, Mapping[str, Any]]
    sections: Mapping[str, Any]


def read_project(params: Mapping[str, Any]) -> tuple[Project, list[str]]:
    """All that fits, and a line for each thing that does not.

    Args:
        params: Content of params.yaml.
    """
    known = (*_SECTIONS, *TABLES)
    problems = [
        f"{name}: unknown section{did_you_mean(name, known) or '; remove it or correct the name'}"
        for name in params
        if name not in known
    ]
    problems += [f"{name}: missing; add the section" for name in known if name not in params]
    sections: dict[str, Section] = {}
    for name in _SECTIONS.keys() & params.keys():
        found, faults = validate(_SECTIONS[name], params[name], name)
        problems += faults
        if found is not None:
            sections[name] = found
    rows: dict[str, dict[str, Section]] = {name: {} for name in TABLES}
    names: dict[str, tuple[str, ...]] = {}
    for table in TABLES.keys() & params.keys():
        content = params[table]
        also = ", or write {} for none" if table in _MAY_BE_EMPTY else ""
        if not isinstance(content, dict) or not (content or table in _MAY_BE_EMPTY):
            problems.append(f"{table}: expected at least one named row, got {content!r}; add one{also}")
            continue
        names[table] = tuple(str(name) for name in content)
        for name, row in content.items():
            named = _describe_name(table, name)
            found, faults = TABLES[table](row, f"{table}.{name}")
            problems += [*named, *faults]
            if found is not None:
                rows[table][str(name)] = found
    return Project(names, rows, sections), problems


def _describe_name(table: str, name: object) -> list[str]:
    """Why a row cannot have this name: DVC, YAML or a shell would read another."""
    if not isinstance(name, str):
        return [f"{table}: row name {name!r} is no text, as YAML reads it; expected {LETTERS}; rename the row"]
    if not _ROW_NAME.fullmatch(name) or name.lower() in _YAML_WORDS:
        also = f" and none of {', '.join(_YAML_WORDS)}" if name.lower() in _YAML_WORDS else ""
        return [
            f"{table}: row name {name!r} would be read otherwise by DVC or YAML; expected {LETTERS}{also}; "
            "rename the row"
        ]
    if table == "methods" and name in _ARTIFACTS:
        return [f"{table}: row name {name!r} is the name of an artifact; expected another; rename the row"]
    return []
