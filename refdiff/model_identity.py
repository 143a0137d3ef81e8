"""Which model exactly: a local folder by its content, a hub model by its commit. Nothing is downloaded."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refdiff.errors import ModelError
from refdiff.paths import expand
from refdiff.store.fingerprint import digest_folder

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model that is on this machine.

    Attributes:
        name: As params.yaml has it.
        folder: Where its files are.
        digest: `sha256:` of the folder's content, or `commit:` of the hub's snapshot.
    """

    name: str
    folder: Path
    digest: str

    def describe(self) -> dict[str, str]:
        """For an artifact's provenance: name and digest, no path of this machine."""
        return {"name": self.name, "digest": self.digest}


def identify_model(name: str, revision: str | None, files: Sequence[str]) -> ModelIdentity:
    """Find a model and say which it is.

    Args:
        name: A folder, or a hub id (`owner/name`) that was fetched before.
        revision: Branch, tag or commit of a hub id; None for the main branch, and for folders.
        files: Patterns of the files that are needed, for the command that fetches them.

    Raises:
        ModelError: It is not there; the message says how to get it.
    """
    folder = expand(name)
    if folder.is_dir():
        if revision is not None:
            raise ModelError(f"model {name}: a folder has no revision, got {revision!r}; set revision: null")
        return ModelIdentity(name, folder, f"sha256:{digest_folder(folder)}")
    if not _HUB_ID.fullmatch(name):
        raise ModelError(
            f"model {name}: no such folder; expected a folder of this machine or a hub id such as owner/name; "
            "correct extract_attention.model or whichever parameter names it"
        )
    return _identify_snapshot(name, revision, files)


def fetch_command(name: str, revision: str | None, files: Sequence[str]) -> str:
    """The command that downloads a hub model's needed files."""
    words = ["hf", "download", name]
    if revision is not None:
        words += ["--revision", revision]
    for pattern in files:
        words += ["--include", pattern]
    return shlex.join(words)


def _identify_snapshot(name: str, revision: str | None, files: Sequence[str]) -> ModelIdentity:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, FileNotFoundError) as error:
        raise ModelError(
            f"model {name}: neither a folder nor in the hub's cache on this machine; "
            f"fetch it with `{fetch_command(name, revision, files)}`"
        ) from error
    if not _COMMIT.fullmatch(folder.name):
        return ModelIdentity(name, folder, f"sha256:{digest_folder(folder)}")
    return ModelIdentity(name, folder, f"commit:{folder.name}")
