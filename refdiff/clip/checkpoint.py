"""Which open_clip checkpoint is meant, and whether it is on this machine; nothing is downloaded and nothing loaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.clip.open_clip_tables import find_tag, list_models, list_tags, read_model
from refdiff.clip.plain_vit import ModelConfig, parse_config
from refdiff.errors import ModelError, ModelMissingError, translate_read_errors
from refdiff.model_identity import ModelIdentity, fetch_command, find_model, identify_model
from refdiff.parameter_words import did_you_mean, expected_names
from refdiff.paths import LOCAL_CLIP, expand
from refdiff.store.fingerprint import digest_file

HUB = "hf-hub:"
CONFIG_FILE = "open_clip_config.json"
# What open_clip reads of a repository of the hub that names no file: the first that is there.
HUB_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
# What it reads of a folder: the first of these that is there, and else the first file with one of the endings.
FOLDER_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
ENDINGS = ("safetensors", "bin", "pth")
TOKENIZER_FILES = ("*.json", "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Files of a checkpoint that are on this machine.

    Attributes:
        folder: Where they are; of the hub, a snapshot.
        weights: The file of weights that open_clip reads.
    """

    folder: Path
    weights: Path


def identify_checkpoint(name: str, pretrained: str | None) -> ModelIdentity:
    """The checkpoint that `name` and `pretrained` stand for.

    Args:
        name: open_clip model name, `hf-hub:owner/name`, or `local-dir:folder`.
        pretrained: A tag or a weights file for a plain name; None for the others.

    Raises:
        ModelError: As `find_checkpoint`.
    """
    found = find_checkpoint(name, pretrained)
    where = describe_checkpoint(name, pretrained)
    if name.startswith(LOCAL_CLIP):
        digest = identify_model(str(found.folder), None, ()).digest
    elif (hub := _hub_of(name, pretrained)) is None:
        digest = f"sha256:{digest_file(found.weights)}"
    else:
        digest = identify_model(hub[0], None, ()).digest
    return ModelIdentity(where, found.folder, digest)


def find_checkpoint(name: str, pretrained: str | None) -> Checkpoint:
    """The files of a checkpoint.

    Args:
        name: open_clip model name, `hf-hub:owner/name`, or `local-dir:folder`.
        pretrained: A tag or a weights file for a plain name; None for the others.

    Raises:
        ModelError: The model or tag is unknown, its weights were trained with another activation than the model has,
            or it is not on this machine; the message says which command fetches it.
    """
    where = describe_checkpoint(name, pretrained)
    if name.startswith((LOCAL_CLIP, HUB)) and pretrained is not None:
        raise ModelError(
            f"{where}: {name.split(':', maxsplit=1)[0]} models carry their own weights; set pretrained to null"
        )
    if name.startswith(LOCAL_CLIP):
        return _find_in_folder(name)
    hub = _hub_of(name, pretrained)
    if hub is None:
        weights = expand(str(pretrained))
        return Checkpoint(weights.parent, weights)
    repository, files = hub
    folder = _find_snapshot(where, name, repository, files)
    for file in files:
        if (folder / file).is_file():
            return Checkpoint(folder, folder / file)
    raise _not_whole(where, name, repository, files)


def read_config(name: str, where: str) -> ModelConfig:
    """The configuration of a model, which for one of open_clip's own names needs no file of the model.

    Args:
        name: open_clip model name, `hf-hub:owner/name`, or `local-dir:folder`.
        where: What messages call it.

    Raises:
        ModelError: There is no such model, or its configuration is not on this machine or none of open_clip's.
    """
    if name.startswith(LOCAL_CLIP):
        folder = _check_folder(name, where)
    elif name.startswith(HUB):
        repository = name.removeprefix(HUB)
        folder = _find_snapshot(where, name, repository, HUB_WEIGHTS)
        if not (folder / CONFIG_FILE).is_file():
            raise _not_whole(where, name, repository, HUB_WEIGHTS)
    else:
        return parse_config(_read_built_in(name, where), where)
    try:
        with translate_read_errors(folder / CONFIG_FILE):
            content = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{where}: {CONFIG_FILE} cannot be read ({error}); fetch the model again") from error
    return parse_config(content.get("model_cfg", content) if isinstance(content, dict) else {}, where)


def describe_checkpoint(name: str, pretrained: str | None) -> str:
    """The checkpoint in messages and provenance: `ViT-B-16-quickgelu / openai`."""
    return name if pretrained is None else f"{name} / {pretrained}"


def replace_advice(name: str, pretrained: str | None, found: Checkpoint) -> str:
    """What to do about weights that were found and are broken; other arguments are those of `find_checkpoint`."""
    hub = None if name.startswith(LOCAL_CLIP) else _hub_of(name, pretrained)
    if hub is None:
        return "copy or fetch it again"
    file = found.weights.relative_to(found.folder).as_posix()
    return f"fetch it again with `{fetch_command(hub[0], None, [file], is_broken=True)}`"


def tokenizer_hint(repository: str) -> str:
    """What to do about a tokenizer of the hub that is not on this machine."""
    command = fetch_command(repository, None, TOKENIZER_FILES)
    return f"its tokenizer {repository} is not on this machine; fetch it with `{command}`"


def _find_in_folder(name: str) -> Checkpoint:
    folder = _check_folder(name, name)
    files = sorted(file for ending in ENDINGS for file in folder.glob(f"*.{ending}"))
    if not files:
        raise ModelError(f"{name}: has no weights; expected a .safetensors file beside {CONFIG_FILE}; add it")
    preferred = [folder / file for file in FOLDER_WEIGHTS if folder / file in files]
    files.sort(key=lambda file: file.suffix != ".safetensors")
    return Checkpoint(folder, [*preferred, *files][0])


def _check_folder(name: str, where: str) -> Path:
    folder = expand(name.removeprefix(LOCAL_CLIP))
    if not folder.is_dir():
        raise ModelMissingError(f"{where}: no such folder; expected one with {CONFIG_FILE} and weights; correct it")
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(f"{where}: has no {CONFIG_FILE}; expected an open_clip model folder; correct it")
    return folder


def _hub_of(name: str, pretrained: str | None) -> tuple[str, tuple[str, ...]] | None:
    """The repository that a checkpoint is in, and the files of weights that open_clip looks for; None for a file."""
    if name.startswith(HUB):
        return name.removeprefix(HUB), HUB_WEIGHTS
    where, known = describe_checkpoint(name, pretrained), name.replace("/", "-")
    config = _read_built_in(name, where)
    tags = list_tags(known)
    if pretrained is None:
        raise ModelError(
            f"{name}: no weights named; expected a weights file or one of its tags: {', '.join(tags) or 'none'}; "
            "name one"
        )
    if expand(pretrained).is_file():
        return None
    tag = find_tag(known, pretrained)
    if not tag:
        raise ModelError(f"{where}: no such file and no such tag; {expected_names(pretrained, tags)}; correct it")
    wanted, there = bool(tag.get("quick_gelu", False)), bool(config.get("quick_gelu", False))
    if wanted != there:
        plain = known.removesuffix("-quickgelu")
        raise ModelError(
            f"{where}: these weights were trained with {_activation(wanted)}, but the model has {_activation(there)}; "
            f"use {plain + '-quickgelu' if wanted else plain}"
        )
    if not tag.get("hf_hub"):
        raise ModelError(f"{where}: these weights are not on the hub; download {tag.get('url')} and name the file")
    owner, repository, file = f"{tag['hf_hub']}/".split("/")[:3]
    if file in ("", *HUB_WEIGHTS):
        return f"{owner}/{repository}", HUB_WEIGHTS
    return f"{owner}/{repository}", (str(Path(file).with_suffix(".safetensors")), file)


def _read_built_in(name: str, where: str) -> Mapping[str, Any]:
    known = name.replace("/", "-")
    config = read_model(known)
    if config is None:
        raise ModelError(
            f"{where}: open_clip has no such model; expected one of its names (`python -c 'import open_clip; "
            f"print(open_clip.list_models())'`), {HUB}owner/name or {LOCAL_CLIP}folder"
            f"{did_you_mean(known, list_models())}; correct the name"
        )
    return config


def _find_snapshot(where: str, name: str, repository: str, weights: tuple[str, ...]) -> Path:
    try:
        return find_model(repository, None, _needed(name, weights))
    except ModelError as error:
        raise type(error)(f"{where}: {error} ({_otherwise(weights)})") from error


def _not_whole(where: str, name: str, repository: str, weights: tuple[str, ...]) -> ModelMissingError:
    command = fetch_command(repository, None, _needed(name, weights))
    return ModelMissingError(
        f"{where}: {repository} is here in part only; expected {' and '.join(_needed(name, weights))}; fetch it with "
        f"`{command}` ({_otherwise(weights)})"
    )


def _needed(name: str, weights: tuple[str, ...]) -> tuple[str, ...]:
    return (CONFIG_FILE, weights[0]) if name.startswith(HUB) else weights[:1]


def _otherwise(weights: tuple[str, ...]) -> str:
    return f"where the repository has no {weights[0]}, {weights[1]} is read"


def _activation(quick_gelu: bool) -> str:
    return "QuickGELU" if quick_gelu else "GELU"
