"""Which model exactly: a local folder by its content, a hub model by its commit. Nothing is downloaded."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from refdiff.errors import ModelError, ModelMissingError
from refdiff.paths import expand
from refdiff.store.fingerprint import digest_folder

_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADDRESS = re.compile(
    r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)(?:/(?:tree|blob|resolve)/([^/?#]+))?.*"
)
_ONE_FILE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
# Repositories that their owners took from the hub, and who has the same files.
_MOVED = {
    "runwayml/stable-diffusion-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    **{
        f"stabilityai/stable-diffusion-{version}": f"sd2-community/stable-diffusion-{version}"
        for version in ("2", "2-base", "2-1", "2-1-base")
    },
}


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
    """Find a model and say which it is: arguments and errors are those of `find_model`."""
    folder = find_model(name, revision, files)
    is_commit = not expand(name).is_dir() and _COMMIT.fullmatch(folder.name)
    return ModelIdentity(name, folder, f"commit:{folder.name}" if is_commit else f"sha256:{digest_folder(folder)}")


def find_model(name: str, revision: str | None, files: Sequence[str]) -> Path:
    """The folder of a model; nothing in it is read.

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
        return folder
    _refuse_other_names(name, folder)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except HFValidationError as error:
        raise _no_such_folder(name) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, FileNotFoundError) as error:
        raise _not_fetched(name, revision, files) from error


def fetch_command(name: str, revision: str | None, files: Sequence[str], is_broken: bool = False) -> str:
    """The command that downloads a hub model's needed files.

    Args:
        name: The hub id.
        revision: Branch, tag or commit; None for the main branch.
        files: Patterns of the files.
        is_broken: Whether they are in the hub's cache and no good: what is there is not fetched without being told.
    """
    words = ["hf", "download", name]
    if revision is not None:
        words += ["--revision", revision]
    for pattern in files:
        words += ["--include", pattern]
    if is_broken:
        words.append("--force-download")
    return shlex.join(words)


def convert_command(
    opening: str, folder: str, library: str = "diffusers", classes: Sequence[str] = ("StableDiffusionPipeline",)
) -> str:
    """The command that writes a model to a folder as its library does.

    Args:
        opening: How the library opens what is there: `from_single_file("a.ckpt")`.
        folder: Where to write it.
        library: Diffusers or transformers.
        classes: Those that open the model; each writes its part.
    """
    parts = [f"{each}.{opening}.save_pretrained({json.dumps(folder)})" for each in classes]
    code = "; ".join([f"from {library} import {', '.join(classes)}", *parts])
    return f"python -c {shlex.quote(code)}"


def _refuse_other_names(name: str, path: Path) -> None:
    """Refuse what is neither a folder nor a hub id, with what was probably meant."""
    if address := _ADDRESS.fullmatch(name):
        revision = f" and revision: {address[2]}" if address[2] not in (None, "main") else ""
        raise ModelError(
            f"model {name}: is an address; expected a folder or a hub id; write its owner and name, "
            f"{address[1]}{revision}"
        )
    if path.is_file() or name.lower().endswith(_ONE_FILE):
        there = "is one file" if path.is_file() else "no such file, and one file is no model"
        raise ModelError(
            f"model {name}: {there}; expected a folder with configuration and weights, or a hub id such as "
            "owner/name; a Stable Diffusion in one file becomes the folder models/sd by "
            f"`{convert_command(f'from_single_file({json.dumps(name)})', 'models/sd')}`"
        )
    if "\\" in name:
        raise ModelError(
            f"model {name}: no such folder; expected a path with /, such as {PureWindowsPath(name).as_posix()}, or a "
            "hub id such as owner/name; correct it"
        )
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise _no_such_folder(name)


def _no_such_folder(name: str) -> ModelMissingError:
    return ModelMissingError(
        f"model {name}: no such folder; expected a folder of this machine or a hub id such as owner/name; "
        "correct extract_attention.model or whichever parameter names it"
    )


def _not_fetched(name: str, revision: str | None, files: Sequence[str]) -> ModelMissingError:
    owner, slash, _ = name.partition("/")
    if not slash:
        return _no_such_folder(name)
    there = "neither a folder nor in the hub's cache on this machine"
    if revision is not None:
        there += f" (revision {revision})"
    if Path(owner).is_dir():
        there += f"; folder {owner} is here and has no such folder in it: correct the name"
        return ModelMissingError(f"model {name}: {there}, or, if it is a hub id, {_fetch(name, revision, files)}")
    moved = _MOVED.get(name)
    if moved:
        there += f", and its owner took it from the hub; {moved} has the same files: name that"
    return ModelMissingError(f"model {name}: {there}; {_fetch(moved or name, revision, files)}")


def _fetch(name: str, revision: str | None, files: Sequence[str]) -> str:
    return f"fetch it with `{fetch_command(name, revision, files)}`"
