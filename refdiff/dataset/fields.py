"""Fields of a dataset's records: read with their type, or refused with what was there instead."""

from collections.abc import Mapping
from typing import Any

from refdiff.dataset.unpickle import as_text
from refdiff.errors import DatasetError

_LONGEST_SHOWN = 80
_LONGEST_LIST = 6
# Ids and sizes beyond 64 bits are damage; turning them into text may itself fail.
_LARGEST = 1 << 63


def read_record(value: object, where: str) -> dict[str, Any]:
    """A mapping with text keys; strings of Python 2 among its keys and values become text.

    Raises:
        DatasetError: It is no mapping, or a key is no text.
    """
    if not isinstance(value, Mapping):
        raise DatasetError(f"{where}: expected a mapping, got {show(value)}; correct the record")
    record = {as_text(key): as_text(item) for key, item in value.items()}
    if not all(isinstance(key, str) for key in record):
        raise DatasetError(f"{where}: expected a mapping with text keys, got others; correct the record")
    return record  # pyright: ignore[reportReturnType] - checked just above


def read_field(record: Mapping[str, Any], name: str, where: str) -> Any:
    """The field `name`.

    Raises:
        DatasetError: There is none.
    """
    if name not in record:
        there = ", ".join(list(record)[:12]) or "none"
        raise DatasetError(f"{where}: has no {name!r}; expected it among its fields, got {there}; correct the record")
    return record[name]


def read_id(record: Mapping[str, Any], name: str, where: str) -> str:
    """An id, as text.

    Raises:
        DatasetError: There is none, or it is neither a whole number nor text.
    """
    return as_id(read_field(record, name, where), name, where)


def as_id(value: object, name: str, where: str) -> str:
    """A value as an id: a whole number or text that is not empty.

    Raises:
        DatasetError: It is neither.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return str(value)
    if isinstance(value, str) and value and is_unicode(value):
        return value
    raise DatasetError(f"{where}: {name} is {show(value)}; expected a whole number or a text; correct the record")


def read_text(record: Mapping[str, Any], name: str, where: str) -> str:
    """A text that is not empty.

    Raises:
        DatasetError: There is none.
    """
    value = read_field(record, name, where)
    if isinstance(value, str) and value and is_unicode(value):
        return value
    raise DatasetError(f"{where}: {name} is {show(value)}; expected a text; correct the record")


def read_list(record: Mapping[str, Any], name: str, where: str) -> list[Any] | tuple[Any, ...]:
    """A list.

    Raises:
        DatasetError: There is none.
    """
    value = read_field(record, name, where)
    if isinstance(value, list | tuple):
        return value
    raise DatasetError(f"{where}: {name} is {show(value)}; expected a list; correct the record")


def read_size(record: Mapping[str, Any], name: str, where: str) -> int:
    """A number of pixels, 1 or more.

    Raises:
        DatasetError: There is none.
    """
    value = read_field(record, name, where)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < _LARGEST:
        return value
    raise DatasetError(f"{where}: {name} is {show(value)}; expected a whole number from 1; correct the record")


def is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8: JSON may hold halves of surrogate pairs."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def show(value: object) -> str:
    """A value in a message: short, on one line, whatever it is."""
    if isinstance(value, str | bytes):
        text = repr(value[:_LONGEST_SHOWN])
        return text if len(value) <= _LONGEST_SHOWN else f"{text} and {len(value) - _LONGEST_SHOWN} more"
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, list | tuple) and len(value) <= _LONGEST_LIST and all(map(_is_short, value)):
        return repr(list(value))
    if isinstance(value, Mapping | list | tuple):
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    return type(value).__name__


def _is_short(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and abs(value) < _LARGEST)
