"""Which open_clip checkpoint is meant, and whether it is on this machine; nothing is downloaded and nothing loaded."""

from pathlib import Path

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from refdiff.errors import ModelError
from refdiff.model_identity import ModelIdentity, identify_model
from refdiff.paths import LOCAL_CLIP, expand
from refdiff.store.fingerprint import digest_file

HUB = "hf-hub:"
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILES = ("*.safetensors", "*.bin", "*.pth")


def identify_checkpoint(name: str, pretrained: str | None) -> ModelIdentity:
    """The checkpoint that `name` and `pretrained` stand for.

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
        folder = name.removeprefix(LOCAL_CLIP)
        _check_folder(expand(folder))
        found = identify_model(folder, None, WEIGHTS_FILES)
    elif name.startswith(HUB):
        found = _identify_cached(name.removeprefix(HUB), name, pretrained)
    else:
        weights = _find_weights(name, pretrained)
        if isinstance(weights, Path):
            found = ModelIdentity(name, weights.parent, f"sha256:{digest_file(weights)}")
        else:
            found = _identify_cached(weights, name, pretrained)
    return ModelIdentity(where, found.folder, found.digest)


def describe_checkpoint(name: str, pretrained: str | None) -> str:
    """The checkpoint in messages and provenance: `ViT-B-16-quickgelu / openai`."""
    return name if pretrained is None else f"{name} / {pretrained}"


def fetch_hint(name: str, pretrained: str | None) -> str:
    """What to do about a checkpoint that is not on this machine, or only in part."""
    arguments = repr(name) if pretrained is None else f"{name!r}, pretrained={pretrained!r}"
    return (
        "is not on this machine, or not whole; nothing is downloaded during a run; fetch it once with "
        f'`python -c "import open_clip; open_clip.create_model({arguments}); open_clip.get_tokenizer({name!r})"`'
    )


def _check_folder(folder: Path) -> None:
    where = f"{LOCAL_CLIP}{folder}"
    if not folder.is_dir():
        raise ModelError(f"{where}: no such folder; expected one with {CONFIG_FILE} and weights; correct it")
    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(f"{where}: has no {CONFIG_FILE}; expected an open_clip model folder; correct it")
    if not any(file for pattern in WEIGHTS_FILES for file in folder.glob(pattern)):
        raise ModelError(f"{where}: has no weights; expected a .safetensors file beside {CONFIG_FILE}; add it")


def _find_weights(name: str, pretrained: str | None) -> Path | str:
    """The weights file, or the hub id of the tag, of one of open_clip's own model names."""
    known = name.replace("/", "-")
    config = open_clip.get_model_config(known)
    if config is None:
        raise ModelError(
            f"{name}: open_clip has no such model; expected one of its names (`python -c 'import open_clip; "
            f"print(open_clip.list_models())'`), {HUB}owner/name or {LOCAL_CLIP}folder; correct the name"
        )
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(known)) or "none"
    if pretrained is None:
        raise ModelError(f"{name}: no weights named; expected a weights file or one of its tags: {tags}; name one")
    if expand(pretrained).is_file():
        return expand(pretrained)
    where = describe_checkpoint(name, pretrained)
    tag = get_pretrained_cfg(known, pretrained)
    if not tag:
        raise ModelError(f"{where}: no such file and no such tag; expected one of: {tags}; correct it")
    wanted, there = bool(tag.get("quick_gelu", False)), bool(config.get("quick_gelu", False))
    if wanted != there:
        plain = known.removesuffix("-quickgelu")
        raise ModelError(
            f"{where}: these weights were trained with {_activation(wanted)}, but the model has {_activation(there)}; "
            f"use {plain + '-quickgelu' if wanted else plain}"
        )
    if not tag.get("hf_hub"):
        raise ModelError(f"{where}: these weights are not on the hub; download {tag.get('url')} and name the file")
    return str(Path(tag["hf_hub"]))


def _identify_cached(hub_id: str, name: str, pretrained: str | None) -> ModelIdentity:
    try:
        return identify_model(hub_id, None, WEIGHTS_FILES)
    except ModelError as error:
        raise ModelError(f"{describe_checkpoint(name, pretrained)}: {fetch_hint(name, pretrained)}") from error


def _activation(quick_gelu: bool) -> str:
    return "QuickGELU" if quick_gelu else "GELU"
