"""Whether an open_clip model can work, from its configuration and the header of its weights (without torch)."""

from refdiff.clip.checkpoint import describe_checkpoint, find_checkpoint, read_config, replace_advice, tokenizer_hint
from refdiff.errors import ModelError, ModelMissingError
from refdiff.model_files import ModelFacts
from refdiff.model_identity import find_model
from refdiff.paths import LOCAL_CLIP
from refdiff.safetensors_header import read_header


def inspect_clip(model: str, pretrained: str | None) -> ModelFacts:
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
    config.vision_cfg.kind().check(where)
    found = find_checkpoint(model, pretrained)
    if found.weights.suffix == ".safetensors":
        try:
            read_header(found.weights)
        except ModelError as error:
            raise ModelError(f"{where}: {error}; {replace_advice(model, pretrained, found)}") from error
    tokenizer = config.text_cfg.hf_tokenizer_name
    if tokenizer and not model.startswith(LOCAL_CLIP):
        _check_tokenizer(where, tokenizer)
    return ModelFacts(where, found.folder, (found.weights,))


def _check_tokenizer(where: str, repository: str) -> None:
    try:
        find_model(repository, None, ())
    except ModelError as error:
        raise ModelMissingError(f"{where}: {tokenizer_hint(repository)}") from error
