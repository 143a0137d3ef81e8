"""Paths as people write them in params.yaml and on command lines: `~` is their home folder everywhere."""

from pathlib import Path

from refdiff.errors import ParameterError

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


def expand_clip(name: str) -> str:
    """The name of an open_clip model as open_clip takes it: the folder of `local-dir:FOLDER` expanded.

    Raises:
        ParameterError: As `expand`.
    """
    if not name.startswith(LOCAL_CLIP):
        return name
    return f"{LOCAL_CLIP}{expand(name.removeprefix(LOCAL_CLIP))}"
