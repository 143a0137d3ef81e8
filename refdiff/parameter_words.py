"""What is wrong with a parameter, in words: which one, what was expected, what it is, and which name is near."""

import math
import re
import typing
from collections.abc import Iterable, Iterator
from datetime import date
from difflib import get_close_matches
from typing import Any

from pydantic import AfterValidator, BaseModel, ValidationError

# Of pydantic's kinds: the value is text where a number is wanted.
_NUMBERS = {"int_type", "int_parsing", "float_type", "float_parsing"}
EXPECTED = "expected "
# Its words for what it expects, in those of YAML.
_WORDS = (
    (r"^(Input|String|Tuple) should (be|have) ", EXPECTED),
    (r"\ba valid (array|list|tuple)", "a list"),
    (r"\ban object|\ba valid dictionary", "a mapping"),
    (r"\ba valid ", "a "),
    (r"\ba integer", "an integer"),
    (r" after validation, not \d+", ""),
)


def in_form(pattern: str, words: str) -> AfterValidator:
    """A text of this form, which messages state in words.

    Args:
        pattern: Regular expression of the whole text.
        words: What it means, after "expected".
    """

    def check(value: str) -> str:
        if re.fullmatch(pattern, value) is None:
            raise ValueError(f"expected {words}")
        return value

    return AfterValidator(check)


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """`; did you mean 'x'?` where a known name is near, else nothing."""
    spelt = {str(each).lower(): str(each) for each in known}
    near = get_close_matches(str(name).lower(), spelt, n=1)
    return f"; did you mean {spelt[near[0]]!r}?" if near else ""


def expected_names(name: object, known: Iterable[object]) -> str:
    """What to write instead of a name that is not there."""
    names = [str(each) for each in known]
    return f"expected one of: {', '.join(names) or 'none, as there are none'}{did_you_mean(name, names)}"


def describe_odd_values(value: object, where: str) -> Iterator[str]:
    """Every value that YAML reads and no parameter can be, by its dotted name: `.nan`, `.inf`, dates, odd keys."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from describe_odd_values(inner, f"{where}.{key}")
            else:
                yield f"{where}: key {key!r} is no text, as YAML reads it; write it in quotes or choose another name"
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from describe_odd_values(inner, f"{where}.{place}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: expected a finite number, got {value}"
    elif not isinstance(value, str | int | float | None):
        advice = ", as YAML reads it; write text in quotes" if isinstance(value, date) else "; NumPy's have .item()"
        yield f"{where}: expected text, a number, a list or a mapping, got {value!r}{advice}"


def describe_faults(error: ValidationError, model: type[BaseModel], value: object, where: str) -> list[str]:
    """One line for each parameter that does not fit.

    Args:
        error: What pydantic found.
        model: The section's type.
        value: The section, as it was read.
        where: Its dotted name.
    """
    faults: dict[str, tuple[list[str], str]] = {}
    for problem in error.errors(include_url=False):
        place = ".".join([where, *_steps(problem["loc"], value, problem["type"] == "missing")])
        wrong, got = _describe(problem, model)
        alternatives, _ = faults.setdefault(place, ([], got))
        if wrong not in alternatives:
            alternatives.append(wrong)
    # Of a value that may be of several kinds, what is wrong inside it says more than that it is of no other kind.
    return [
        f"{place}: {alternatives[0]}{''.join(f' or {each.removeprefix(EXPECTED)}' for each in alternatives[1:])}{got}"
        for place, (alternatives, got) in faults.items()
        if not any(other.startswith(f"{place}.") for other in faults)
    ]


def _steps(loc: tuple[int | str, ...], value: Any, missing: bool) -> Iterator[str]:
    """The place in the file; pydantic's also names the alternatives that it tried, which are no keys."""
    for number, step in enumerate(loc):
        inner: dict[Any, Any] = (
            dict(enumerate(value)) if isinstance(value, list) else value if isinstance(value, dict) else {}
        )
        if step in inner:
            value = inner[step]
        elif not (missing and number == len(loc) - 1):
            continue
        yield str(step)


def _describe(problem: Any, model: type[BaseModel]) -> tuple[str, str]:
    """What is wrong, and what the value is, with what may have been meant."""
    kind, got, context = problem["type"], problem.get("input"), problem.get("ctx", {})
    if kind == "extra_forbidden":
        near = did_you_mean(problem["loc"][-1], _field_names(model))
        return "unknown parameter", near or "; remove it or correct the name"
    if kind in ("missing", "union_tag_not_found"):
        return f"{context.get('discriminator', '')} missing".strip(), "; add it"
    if kind in ("literal_error", "union_tag_invalid"):
        words = re.findall(r"'([^']*)'", context.get("expected") or context["expected_tags"])
        got = context.get("tag", got)
        one = "one of " if len(words) > 1 else ""
        return f"{EXPECTED}{one}{', '.join(words)}", f", got {got!r}{_yaml_word(got)}{did_you_mean(got, words)}"
    if kind == "value_error" and isinstance(got, dict):  # of values that do not go together, which it names
        return str(context["error"]), ""
    message = problem["msg"].removeprefix("Value error, ")
    for pattern, words in _WORDS:
        message = re.sub(pattern, words, message)
    return message, f", got {got!r}{_yaml_number(got) if kind in _NUMBERS else ''}"


def _field_names(model: type[BaseModel]) -> set[str]:
    """Names of a section's parameters, those of the sections in it too."""
    names: set[str] = set()
    waiting: list[Any] = [model]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update(kind.model_fields)
            waiting.extend(field.annotation for field in kind.model_fields.values())
        else:
            waiting.extend(typing.get_args(kind))
    return names


def _yaml_number(got: object) -> str:
    """A word where YAML 1.1 reads a number as text: quoted, or `1e-3`, which is a number only with a point."""
    try:
        number = float(got) if isinstance(got, str) else math.nan
    except ValueError:
        number = math.nan
    return f", which YAML reads as text; write {_as_number(number)}" if math.isfinite(number) else ""


def _as_number(number: float) -> str:
    return str(int(number)) if number.is_integer() else f"{number:f}".rstrip("0")


def _yaml_word(got: object) -> str:
    return ", as YAML reads on, off, yes and no; write it in quotes" if isinstance(got, bool) else ""
