"""Reading params.yaml: strict, typed sections, refused by name when they do not fit."""

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from refdiff.errors import ParameterError
from refdiff.parameter_words import describe_faults, describe_odd_values, expected_names, in_form

PARAMS_FILE = Path("params.yaml")
# The same loader in C, twenty times as fast; a few builds of PyYAML are without it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Tables whose rows dvc.yaml pairs with every split.
_PAIRED = ("captures", "sources", "heat_sources", "methods")


class Section(BaseModel):
    """Base of every parameter section: immutable, no unknown keys, no conversion between types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


SectionT = TypeVar("SectionT", bound=Section)

Device = Annotated[str, in_form(r"auto|cpu|cuda(:\d+)?", "auto, cpu, cuda or cuda:N (Apple's accelerator is not used)")]
"""Where a model runs: `auto` is an accelerator if there is one."""


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The whole parameter file as plain containers.

    Raises:
        ParameterError: The file is missing, is not a YAML mapping, or names rows so that runs of them share a name.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ParameterError(
            f"{path}: cannot be read ({error.strerror}); expected the pipeline's parameter file; "
            "run from the project's folder"
        ) from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"{path}: is not text in UTF-8 ({error.reason}); save it as UTF-8") from error
    return parse_params(text, path)


def parse_params(text: str, path: Path) -> dict[str, Any]:
    """The content of a parameter file; `path` is its name, for messages.

    Raises:
        ParameterError: It is not a YAML mapping, or names rows so that runs of them share a name.
    """
    try:
        content = _load_yaml(text, path)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"{path}: is not YAML ({reason}); correct it") from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: expected a mapping of sections, got {type(content).__name__}")
    for table in _PAIRED:
        _check_names(content.get("splits"), content.get(table), table, path)
    return content


def _load_yaml(text: str, path: Path) -> object:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_repeated_keys(node, path)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_repeated_keys(root: Any, path: Path) -> None:
    """See that no key stands twice in one mapping: YAML's loader takes the last without a word.

    Raises:
        ParameterError: One does.
    """
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
            continue
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key.value, str) and key.value in lines:
                raise ParameterError(
                    f"{path}: line {line}: {key.value!r} stands in line {lines[key.value]} already; expected each name "
                    "once; remove or rename one"
                )
            if isinstance(key.value, str):
                lines[key.value] = line
            waiting.append(value)


def _check_names(splits: object, rows: object, table: str, path: Path) -> None:
    """See that no two runs have one name: DVC calls each `<split>-<row>`, and leaves out all but one of equal names.

    Raises:
        ParameterError: Two have.
    """
    if not isinstance(splits, dict) or not isinstance(rows, dict):
        return
    named: dict[str, tuple[object, object]] = {}
    for pair in ((split, row) for split in splits for row in rows):
        split, row = named.setdefault(f"{pair[0]}-{pair[1]}", pair)
        if (split, row) != pair:
            raise ParameterError(
                f"{path}: split {split!r} with {row!r} of {table}, and split {pair[0]!r} with {pair[1]!r}, would both "
                f"be called '{split}-{row}', and DVC would run one of them only; rename one"
            )


def parse_section(model: type[SectionT], value: object, where: str) -> SectionT:
    """One section as its typed model.

    Args:
        model: The section's type.
        value: What the parameter file has there.
        where: The section's dotted name, for messages.

    Raises:
        ParameterError: A key is unknown or missing, or a value does not fit; every problem is named.
    """
    section, faults = validate(model, value, where)
    if section is None:
        raise ParameterError(" | ".join(faults))
    return section


def validate(model: type[SectionT], value: object, where: str) -> tuple[SectionT | None, list[str]]:
    """As `parse_section`, but with what is wrong as lines, each of them complete in itself."""
    value = {} if value is None else value
    faults = list(describe_odd_values(value, where))
    if faults:
        return None, faults
    # Lists stand for tuples in YAML; validating as JSON keeps everything else strict.
    try:
        return model.model_validate_json(json.dumps(value)), []
    except ValidationError as error:
        return None, describe_faults(error, model, value, where)


def read_section(model: type[SectionT], name: str, path: Path = PARAMS_FILE) -> SectionT:
    """The section `name` (dotted for a row of a table, `methods.gs`) of the parameter file.

    Raises:
        ParameterError: The section is missing or does not fit its model.
    """
    return parse_section(model, find(read_params(path), name), name)


def find(params: dict[str, Any], name: str) -> object:
    """The value at the dotted `name`.

    Raises:
        ParameterError: There is none; the message lists what is there.
    """
    node: Any = params
    walked: list[str] = []
    for key in name.split("."):
        if not isinstance(node, dict) or key not in node:
            where = ".".join(walked) or "params.yaml"
            expected = expected_names(key, node if isinstance(node, dict) else ())
            raise ParameterError(f"{where}: no entry {key!r}; {expected}; add it or correct the name")
        walked.append(key)
        node = node[key]
    return node
