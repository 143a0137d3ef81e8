"""JSON as people's tools write it, refused with a clear word when it is not."""

import json
from pathlib import Path
from typing import Any, NoReturn

from refdiff.errors import DatasetError
from refdiff.file_kind import recognise


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DatasetError: The file is missing or is not JSON.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); expected a JSON file") from error
    return parse_json(data, str(path))


def parse_json(data: bytes, where: str) -> Any:
    """The value of JSON bytes in UTF-8; NaN and Infinity are no JSON, and a key stands once in a mapping.

    Raises:
        DatasetError: They are not JSON.
    """
    try:
        return json.loads(
            data.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated_keys
        )
    except (ValueError, RecursionError) as error:
        refuse_other_kinds(data, where)
        if isinstance(error, UnicodeDecodeError):
            raise DatasetError(
                f"{where}: is not text in UTF-8 (byte 0x{error.object[error.start]:02x} at {error.start}); expected "
                "JSON in UTF-8; save it as UTF-8, not in an older encoding of Windows or Europe"
            ) from error
        reason = str(error) or type(error).__name__
        raise DatasetError(
            f"{where}: is not JSON ({reason}); expected whole JSON in UTF-8; fetch or write it again"
        ) from error


def refuse_other_kinds(data: bytes, where: str) -> None:
    """Refuse what is certainly no JSON in UTF-8: UTF-16, a page of HTML, a Git LFS pointer, an archive.

    Raises:
        DatasetError: It is one of these.
    """
    found = recognise(data)
    if found is not None:
        kind, advice = found
        raise DatasetError(f"{where}: is {kind}; expected JSON in UTF-8; {advice or 'correct the name'}")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"a mapping has the key {repeated!r} twice")
    return mapping
