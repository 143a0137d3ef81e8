"""What a store of attention depends on: the facts that name its work folder."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from refdiff import __version__
from refdiff.attention_store import FORMAT
from refdiff.device import choose_device
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.diffusion.shards import Sentences
from refdiff.model_identity import ModelIdentity
from refdiff.photo import read_bytes
from refdiff.store.fingerprint import digest_bytes, digest_facts, digest_files

STAGE = "extract_attention"

# What moves last bits only, or says where the model lies: a run may go on with other values.
_NOT_IN_THE_FINGERPRINT = {"model", "revision", "device", "batch_sentences", "compile"}

# Their versions may move values, so they are part of what a store is.
_LIBRARIES = ("torch", "diffusers", "transformers", "pillow", "zarr", "numcodecs")


def gather_facts(
    sentences: Sentences, identity: ModelIdentity, capture: CaptureSettings, settings: ExtractAttentionSettings
) -> dict[str, Any]:
    """Everything that the store's values depend on.

    The size of a batch and `compile` are left out: they move last bits only, and a run that ended for want of memory or
    of a compiler should go on with another setting.

    Raises:
        ImageError: A photo cannot be read.
    """
    photos = [
        [image_id, digest_bytes(read_bytes(sentences.root / path, path))]
        for image_id, path in zip(sentences.image_id, sentences.path, strict=True)
    ]
    return {
        "stage": STAGE,
        "format": FORMAT,
        "capture": capture.model_dump(mode="json"),
        "parameters": settings.model_dump(mode="json", exclude=_NOT_IN_THE_FINGERPRINT),
        "inputs": {
            "photos": digest_facts(photos),
            "sentences": digest_facts([sentences.image_index.tolist(), sentences.sentence]),
            "tokens": digest_facts(sentences.tokens.tolist()),
        },
        **environment_facts(identity, settings),
    }


def environment_facts(identity: ModelIdentity, settings: ExtractAttentionSettings) -> dict[str, Any]:
    """The facts that may differ from worker to worker: model, kind of device, versions and code."""
    package = Path(__file__).parents[1]
    code = [*sorted(Path(__file__).parent.glob("*.py")), package / "geometry.py", package / "photo.py"]
    return {
        "model": identity.digest,
        "device": choose_device(settings.device).type,
        "versions": {"refdiff": __version__, **{library: version(library) for library in _LIBRARIES}},
        "code": digest_files(code, package),
    }
