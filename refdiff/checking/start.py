"""How every stage starts: its command line, its rows of params.yaml, and the check of all the rest of that file.

A stage depends on its own sections alone, for DVC too. What is wrong with another is said here, by the first stage
that runs, and not after the hours that lie before the stage that would meet it.
"""

import argparse
import sys
from typing import Any

from refdiff.checking.models import COMPUTING, READING, check_models
from refdiff.checking.project import check_project, refuse_if_any
from refdiff.engine.settings import add_engine_arguments
from refdiff.params import find, read_params


def start_stage(
    stage: str, description: str | None, tables: tuple[str, ...] = (), engine: bool = False
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Read the command line and params.yaml, and check all of it.

    Args:
        stage: Its name.
        description: Of the stage, for `--help`.
        tables: Sections of which the command line names one row each; its argument is the section's name without
            the last letter.
        engine: Whether the command line has the words of the engine.

    Returns:
        The command line and the content of params.yaml.

    Raises:
        ParameterError: Something in params.yaml does not fit, a row is not there, or a model that is needed cannot work
            or is not here.
    """
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=description)
    for table in tables:
        parser.add_argument(table[:-1], help=f"a row of `{table}` in params.yaml")
    if engine:
        add_engine_arguments(parser)
    arguments, surplus = parser.parse_known_args()
    params = read_params()
    project = check_project(params)
    if surplus:  # only now: a row's name with a space in it is refused above, by name
        parser.error(f"unrecognized arguments: {' '.join(surplus)}")
    for table in tables:
        find(params, f"{table}.{getattr(arguments, table[:-1])}")
    if stage in (*READING, *COMPUTING):
        found = check_models(project, stage, is_part=getattr(arguments, "part", None) is not None)
        refuse_if_any(found.problems)
        for text in found.warnings_for(stage):
            print(f"warning: {text}", file=sys.stderr)
    return arguments, params
