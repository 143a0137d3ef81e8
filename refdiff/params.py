"""Reading params.yaml: strict, typed sections, refused by name when they do not fit."""

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from refdiff.errors import ParameterError

PARAMS_FILE = Path("params.yaml")
# The same loader in C, twenty times as fast; a few builds of PyYAML are without it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Tables whose rows dvc.yaml pairs with every split.
_PAIRED = ("captures", "sources", "heat_sources", "methods")


class Section(BaseModel):
    """Base of every parameter section: immutable, no unknown keys, no conversion between types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


SectionT = TypeVar("SectionT", bound=Section)

_DEVICES = re.compile(r"auto|cpu|cuda(:\d+)?")


def _check_device(device: str) -> str:
    if not _DEVICES.fullmatch(device):
        apple = "; Apple's accelerator is not used, take cpu" if device == "mps" else ""
        raise PydanticCustomError("device", "{reason}", {"reason": f"expected auto, cpu, cuda or cuda:N{apple}"})
    return device


# Every parameter `device`: auto, cpu, cuda or cuda:N.
DeviceName = Annotated[str, AfterValidator(_check_device)]


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
        raise ParameterError(f"{path}: is not YAML ({error}); correct it") from error
    return parse_params(text, path)


def parse_params(text: str, path: Path) -> dict[str, Any]:
    """The content of a parameter file; `path` is its name, for messages.

    Raises:
        ParameterError: It is not a YAML mapping, or names rows so that runs of them share a name.
    """
    try:
        content = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"{path}: is not YAML ({reason}); correct it") from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path}: expected a mapping of sections, got {type(content).__name__}")
    for table in _PAIRED:
        _check_names(content.get("splits"), content.get(table), table, path)
    return content


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
    # Lists stand for tuples in YAML; validating as JSON keeps everything else strict.
    try:
        return model.model_validate_json(_to_json(value, where))
    except ValidationError as error:
        raise ParameterError(_describe(error, where)) from error


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
            there = ", ".join(str(k) for k in node) if isinstance(node, dict) else "no keys"
            raise ParameterError(f"{where}: no entry {key!r}; expected one of: {there}; add it or correct the name")
        walked.append(key)
        node = node[key]
    return node


def _to_json(value: object, where: str) -> str:
    import json

    try:
        return json.dumps({} if value is None else value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{where}: {error}; expected plain values") from error


def _describe(error: ValidationError, where: str) -> str:
    parts: list[str] = []
    for problem in error.errors(include_url=False):
        place = ".".join([where, *(str(step) for step in problem["loc"])])
        if problem["type"] == "extra_forbidden":
            parts.append(f"{place}: unknown parameter; remove it or correct the name")
        elif problem["type"] == "missing":
            parts.append(f"{place}: missing; add it")
        else:
            parts.append(f"{place}: {problem['msg']}, got {problem.get('input')!r}")
    return " | ".join(parts)
