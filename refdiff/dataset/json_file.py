"""JSON as people's tools write it, refused with a clear word when it is not."""

import json
from pathlib import Path
from typing import Any, NoReturn

from refdiff.errors import DatasetError


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
    """The value of JSON bytes in UTF-8; NaN and Infinity are no JSON.

    Raises:
        DatasetError: They are not JSON.
    """
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise DatasetError(
            f"{where}: is not JSON ({reason}); expected whole JSON in UTF-8; fetch or write it again"
        ) from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
