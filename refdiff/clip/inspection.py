"""Whether an open_clip model can work, from its configuration and the header of its weights (without torch)."""

from dataclasses import dataclass
from pathlib import Path

from refdiff.clip.checkpoint import describe_checkpoint, find_checkpoint, read_config, tokenizer_hint
from refdiff.clip.plain_vit import sides
from refdiff.errors import ModelError, ModelMissingError
from refdiff.model_identity import find_model
from refdiff.paths import LOCAL_CLIP
from refdiff.safetensors_header import read_header


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What is known of a CLIP model before it is loaded.

    Attributes:
        name: Model and weights, as messages call them.
        folder: Where its files are.
        files: The weights that are read.
        bytes: Their size.
        image_px: Shorter side of the images that it was trained on.
        patch_px: Side of a patch.
        width: Length of a patch's vector in the image tower.
        dim: Length of an embedding.
        context: Tokens of its text input, with start and end.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    bytes: int
    image_px: int
    patch_px: int
    width: int
    dim: int
    context: int


def inspect_clip(model: str, pretrained: str | None) -> ClipFacts:
    """Read a model's configuration, and the header of its weights.

    Args:
        model: open_clip model name, `hf-hub:owner/name`, or `local-dir:folder`.
        pretrained: A tag or a weights file for a plain name; None for the others.

    Raises:
        ModelError: The model cannot be used, whether it is here or not; or it, or its tokenizer, is not on this
            machine, or its weights are cut off or something else.
        UnreadableError: A file of it cannot be read now.
    """
    where = describe_checkpoint(model, pretrained)
    config = read_config(model, where)
    kind = config.vision_cfg.kind()
    kind.check(where)
    found = find_checkpoint(model, pretrained)
    if found.weights.suffix == ".safetensors":
        try:
            read_header(found.weights)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from error
    tokenizer = config.text_cfg.hf_tokenizer_name
    if tokenizer and not model.startswith(LOCAL_CLIP):
        _check_tokenizer(where, tokenizer)
    return ClipFacts(
        name=where,
        folder=found.folder,
        files=(found.weights,),
        bytes=found.weights.stat().st_size,
        image_px=min(sides(config.vision_cfg.image_size)),
        patch_px=kind.patch_px[0],
        width=config.vision_cfg.width,
        dim=config.embed_dim,
        context=config.text_cfg.context_length,
    )


def _check_tokenizer(where: str, repository: str) -> None:
    try:
        find_model(repository, None, ())
    except ModelError as error:
        raise ModelMissingError(f"{where}: {tokenizer_hint(repository)}") from error
