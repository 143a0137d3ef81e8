"""What a store of attention depends on: the facts that name its work folder, and the inputs of each shard."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from refdiff import __version__
from refdiff.attention.layout import FORMAT
from refdiff.device import choose_device
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.diffusion.shards import Sentences, is_first
from refdiff.model_identity import ModelIdentity
from refdiff.source_code import NEUTRAL, StageCode
from refdiff.store.fingerprint import digest_facts

STAGE = "extract_attention"

# From the photo and the sentences to the bytes of a shard. Stores are written here, and never read.
CODE = StageCode("diffusion/job.py", NEUTRAL | {"store/byte_source.py", "store/zarr_plan.py"})

# What moves last bits only, says where the model lies, or what is kept beside the store: a run may go on with other
# values.
_NOT_IN_THE_FINGERPRINT = {"model", "revision", "device", "batch_sentences", "compile", "keep_latents"}

# Their versions may move values, so they are part of what a store is.
_LIBRARIES = ("torch", "diffusers", "transformers", "pillow", "zarr", "numcodecs")


def gather_facts(
    identity: ModelIdentity, capture: CaptureSettings, settings: ExtractAttentionSettings
) -> dict[str, Any]:
    """Everything that all shards of the store depend on; what each depends on alone is in `digest_shard`.

    The size of a batch and `compile` are left out: they move last bits only, and a run that ended for want of memory or
    of a compiler should go on with another setting.
    """
    return {
        "stage": STAGE,
        "format": FORMAT,
        "capture": capture.model_dump(mode="json"),
        "parameters": settings.model_dump(mode="json", exclude=_NOT_IN_THE_FINGERPRINT),
        **environment_facts(identity, settings),
    }


def digest_inputs(sentences: Sentences) -> dict[str, str]:
    """Digests of the split's sentences, of their numbers of tokens, and of all its photos with their ids.

    Photos are known by the content that `prepare_dataset` read, and compared with it when they are read again; never by
    a file's time and size: a photo may be replaced within the resolution of a file system's clock, or by a tool that
    sets the time back.
    """
    return {
        "sentences": digest_facts([sentences.image_index.tolist(), sentences.sentence]),
        "tokens": digest_facts(sentences.tokens.tolist()),
        "photos": digest_facts([list(photo) for photo in zip(sentences.image_id, sentences.sha256, strict=True)]),
    }


def digest_asked(sentences: Sentences) -> str:
    """Digest of all that is read of the split's tables."""
    return digest_facts([digest_inputs(sentences), sentences.path])


def digest_shard(
    shard: int,
    rows: range,
    sentences: Sentences,
    fingerprint: str,
    arrays: Mapping[str, Any],
) -> str:
    """Digest of everything that the files of a shard depend on, so that equal ones are equal files.

    Args:
        shard: Its number: its files have their names by it.
        rows: Its expressions.
        sentences: Of the split.
        fingerprint: Of the facts that all shards depend on.
        arrays: How files are laid out and coded (`AttentionWriter.describe_arrays`).
    """
    index = sentences.image_index
    asked = [
        [int(index[row]), sentences.image_id[index[row]], sentences.sha256[index[row]], sentences.sentence[row]]
        for row in rows
    ]
    return digest_facts(
        {
            "recipe": fingerprint,
            "arrays": arrays,
            "shard": shard,
            "rows": asked,
            "tokens": sentences.tokens[rows.start : rows.stop].tolist(),
            # Self-attention of a photo is in the shard of its first expression.
            "begins a photo": is_first(sentences, rows.start),
        }
    )


def environment_facts(identity: ModelIdentity, settings: ExtractAttentionSettings) -> dict[str, Any]:
    """The facts that may differ from worker to worker: model, kind of device, versions and code."""
    return {
        "model": identity.digest,
        "device": choose_device(settings.device).type,
        "versions": {"refdiff": __version__, **{library: version(library) for library in _LIBRARIES}},
        "code": CODE.digest(),
    }
