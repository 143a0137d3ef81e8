"""Source `sam`: transformers' mask generation with any model of the SAM family.

Among them are sam, sam_hq, sam2, sam3_tracker and edgetam.
"""

from functools import cached_property
from math import ceil
from typing import Any, ClassVar

import numpy as np
import torch
import torchvision
import transformers
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForMaskGeneration, MaskGenerationPipeline
from transformers.utils.logging import disable_progress_bar

from refdiff.device import choose_device
from refdiff.errors import ModelError
from refdiff.masks.rle import encode_mask
from refdiff.model_identity import ModelIdentity, fetch_command, identify_model
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.settings import SamSettings
from refdiff.proposals.source import Photo

NEEDED_FILES = ("config.json", "*preprocessor_config.json", "processor_config.json", "model*.safetensors*")

# A longer photo would lose its short side when its long side is scaled to the model's input; it is padded with black.
MAX_ASPECT = 32

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class SamSource:
    """A mask generator on one device, loaded when it is first needed.

    Args:
        settings: How masks are generated.
        model: Which model it is.
        processor: Its image processor.
        device: Where it runs.
    """

    of_pixels: ClassVar[bool] = True

    def __init__(self, settings: SamSettings, model: ModelIdentity, processor: Any, device: torch.device) -> None:
        self.settings = settings
        self._model = model
        self._processor = processor
        self._device = device

    @cached_property
    def generator(self) -> MaskGenerationPipeline:
        """transformers' pipeline.

        Raises:
            ModelError: The weights cannot be loaded, or are not all there.
        """
        network = _load_network(self.settings, self._model)
        return MaskGenerationPipeline(model=network, image_processor=self._processor, device=self._device)

    def propose(self, photo: Photo) -> Proposals:
        """Masks of the photo, best first; confidence is the IoU that the model predicts."""
        rgb = photo.pixels()
        settings = self.settings
        made: Any = self.generator(
            Image.fromarray(_padded(rgb)),
            points_per_crop=settings.points_per_side,
            points_per_batch=settings.points_per_batch,
            pred_iou_thresh=settings.pred_iou_thresh,
            stability_score_thresh=settings.stability_score_thresh,
            stability_score_offset=settings.stability_score_offset,
            mask_threshold=settings.mask_threshold,
            crops_n_layers=settings.crops_n_layers,
            crop_overlap_ratio=settings.crop_overlap_ratio,
            crop_n_points_downscale_factor=settings.crop_points_downscale,
            crops_nms_thresh=settings.crops_nms_thresh,
        )
        scores = np.array([float(score) for score in made["scores"]], dtype=np.float32)
        order = np.argsort(-scores, kind="stable")
        masks = made["masks"]
        counts = [encode_mask(_as_mask(masks[row], photo.height, photo.width)) for row in order]
        return of_codes(counts, photo.height, photo.width, confidence=scores[order])

    def identity(self) -> dict[str, Any]:
        """Model, image processor and its backend (torchvision and PIL resize differently), and versions."""
        return {
            "model": self._model.describe(),
            "image_processor": type(self._processor).__name__,
            "image_backend": str(getattr(self._processor, "backend", "unknown")),
            "device": self._device.type,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "transformers": transformers.__version__,
        }


def open_sam(settings: SamSettings, device: str) -> SamSource:
    """Find a mask generator on this machine; nothing is downloaded, and its weights are loaded when they are needed.

    Args:
        settings: Which model, in which number type.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        ModelError: The model is not here, or there is no such device.
    """
    place = choose_device(device)
    found = identify_model(settings.model, settings.revision, NEEDED_FILES)
    try:
        processor = AutoImageProcessor.from_pretrained(found.folder, local_files_only=True)
    except Exception as error:  # transformers raises nearly every builtin kind for a model that does not fit
        raise _refusal(settings, found, error) from error
    return SamSource(settings, found, processor, place)


def _load_network(settings: SamSettings, found: ModelIdentity) -> Any:
    """The network with its weights, which are read from safetensors only."""
    disable_progress_bar()
    try:
        network, report = AutoModelForMaskGeneration.from_pretrained(
            found.folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=_DTYPES[settings.dtype],
            output_loading_info=True,
        )
    except Exception as error:  # as above
        raise _refusal(settings, found, error) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"model {settings.model}: {len(missing)} weights are not in its file ({', '.join(missing[:3])} ...); "
            f"expected a checkpoint of {type(network).__name__}; name another model"
        )
    return network


def _refusal(settings: SamSettings, found: ModelIdentity, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:300]
    fetch = "" if settings.model == str(found.folder) else f" with `{_fetch(settings)}`"
    return ModelError(
        f"model {settings.model}: cannot be loaded for mask generation ({reason}); expected a model of the SAM "
        f"family with safetensors weights and preprocessor_config.json; fetch it again{fetch} or name another"
    )


def _fetch(settings: SamSettings) -> str:
    return fetch_command(settings.model, settings.revision, NEEDED_FILES)


def _padded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo with black below or to the right of it where it is longer than `MAX_ASPECT`."""
    least = ceil(max(rgb.shape[:2]) / MAX_ASPECT)
    below, right = (max(0, least - side) for side in rgb.shape[:2])
    return np.pad(rgb, ((0, below), (0, right), (0, 0))) if below or right else rgb


def _as_mask(mask: Any, height: int, width: int) -> NDArray[np.bool_]:
    """A generated mask as bool `[height width]`, without the padding."""
    return np.ascontiguousarray(np.asarray(mask)[:height, :width] != 0)
