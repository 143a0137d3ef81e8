"""The whole params.yaml at once: every section, every row, and how they go together (no torch, no model library)."""

from collections.abc import Mapping
from typing import Any

from refdiff.checking.sections import TABLES, Project, read_project
from refdiff.checking.together import find_conflicts
from refdiff.errors import ParameterError, ParametersError
from refdiff.params import PARAMS_FILE


def list_problems(params: Mapping[str, Any]) -> tuple[Project, list[str]]:
    """What fits of params.yaml, and a line for each problem of the rest.

    Args:
        params: Content of params.yaml.
    """
    project, problems = read_project(params)
    if project.names.keys() == TABLES.keys():
        problems += find_conflicts(project)
    return project, problems


def check_project(params: Mapping[str, Any]) -> Project:
    """The typed content of params.yaml.

    Args:
        params: Its content.

    Raises:
        ParameterError: Something does not fit or does not go together; every problem is named.
    """
    project, problems = list_problems(params)
    refuse_if_any(problems)
    return project


def refuse_if_any(problems: list[str]) -> None:
    """End with one problem as a line of its own, with more as a list.

    Raises:
        ParameterError: There are problems.
    """
    if len(problems) == 1:
        raise ParameterError(problems[0])
    if problems:
        raise ParametersError(f"{PARAMS_FILE}: {len(problems)} problems; correct them", problems)
