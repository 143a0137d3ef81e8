"""Where an artifact comes from: stage, version, parameters, and digests of what was read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refdiff import __version__
from refdiff.errors import ArtifactMissingError
from refdiff.store.fingerprint import digest_file

STORE_METADATA = "zarr.json"


def describe_run(stage: str, parameters: Mapping[str, Any], inputs: Mapping[str, Path]) -> dict[str, Any]:
    """The provenance of what `stage` makes.

    Args:
        stage: The stage's name.
        parameters: Every parameter that counts, plain values by name.
        inputs: Files and stores that are read, by a name that does not depend on where they lie.

    Raises:
        ArtifactMissingError: An input is not there.
    """
    return {
        "stage": stage,
        "refdiff": __version__,
        "parameters": dict(parameters),
        "inputs": {name: digest_input(path) for name, path in inputs.items()},
    }


def digest_input(path: Path) -> str:
    """SHA-256 of a file, or of a Zarr store's root metadata, which holds the digests of its shards.

    Raises:
        ArtifactMissingError: It is not there.
    """
    file = path / STORE_METADATA if path.is_dir() else path
    try:
        return digest_file(file)
    except FileNotFoundError as error:
        raise ArtifactMissingError(f"{path}: not there; run `dvc repro`, which makes it") from error
