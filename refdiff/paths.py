"""Paths as people write them in params.yaml and on command lines: `~` is their home folder everywhere."""

import os
import re
from pathlib import Path, PureWindowsPath

from refdiff.errors import ParameterError

PLAIN_PATH = r"(?![A-Za-z][\w+.-]*://)[^\\]+"
"""A path of params.yaml; what Windows or a browser would write is none here."""
PLAIN_PATH_WORDS = "a path on this machine, with / between folders"
LOCAL_CLIP = "local-dir:"
"""Before the folder of an open_clip model, where a model's name may be one of open_clip's own."""


def expand(path: str | Path) -> Path:
    """The path with `~` and `~name` replaced by that home folder.

    Raises:
        ParameterError: There is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ParameterError(f"{path}: no home folder is known for it; write the path in full") from error


def expand_local(path: str | Path) -> Path:
    """As `expand`, of a file or folder that a person names outside params.yaml.

    Raises:
        ParameterError: As `expand`; or it is empty, an address, or written as on Windows.
    """
    text = str(path)
    address = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/+", text)
    if address:
        shown = f"{address[1]}://{text[address.end() :]}"
        raise ParameterError(f"{shown}: is an address; expected a path, as nothing is fetched or sent; fetch it first")
    if "\\" in text and not os.path.lexists(path):
        raise ParameterError(
            f"{text}: has a backslash, which separates no folders here; expected / between them; write "
            f"{PureWindowsPath(text).as_posix()}"
        )
    if not text:
        raise ParameterError("a path is empty; expected one; correct the word or the variable that it comes from")
    return expand(path)


def expand_clip(name: str) -> str:
    """The name of an open_clip model as open_clip takes it: the folder of `local-dir:FOLDER` expanded.

    Raises:
        ParameterError: As `expand`.
    """
    if not name.startswith(LOCAL_CLIP):
        return name
    return f"{LOCAL_CLIP}{expand(name.removeprefix(LOCAL_CLIP))}"
