"""Source `sam`: transformers' mask generation with any model of the SAM family.

Among them are sam, sam_hq, sam2, sam3_tracker and edgetam.
"""

from collections.abc import Mapping
from functools import cached_property
from math import ceil
from typing import Any, ClassVar

import numpy as np
import torch
import torchvision
import transformers
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForMaskGeneration

from refdiff.device import check_precision, choose_device
from refdiff.errors import ModelError
from refdiff.finite import precision_advice
from refdiff.loaded_weights import load_network, load_pretrained
from refdiff.masks.rle import encode_mask
from refdiff.model_files import ModelFolder
from refdiff.model_identity import ModelIdentity, identify_model
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.inspection import MASK_GENERATOR, inspect_sam
from refdiff.proposals.sam_generator import BoundedMaskGeneration
from refdiff.proposals.settings import SamSettings
from refdiff.proposals.source import Photo

# A longer photo would lose its short side when its long side is scaled to the model's input; it is padded with black.
MAX_ASPECT = 32


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
    def generator(self) -> BoundedMaskGeneration:
        """transformers' pipeline, with bounds.

        Raises:
            ModelError: The weights cannot be loaded, are not all there, or are not finite.
        """
        where, advice = _describe(self.settings, self._model)
        options = {"dtype": getattr(torch, self.settings.dtype)}
        network = load_network(AutoModelForMaskGeneration, self._model.folder, where, advice, options)
        return BoundedMaskGeneration(model=network, image_processor=self._processor, device=self._device)

    def load(self) -> None:
        """Load the weights; errors are those of `generator`."""
        _ = self.generator

    def propose(self, photo: Photo) -> Proposals:
        """Masks of the photo, best first; confidence is the IoU that the model predicts.

        Raises:
            ModelError: The network gives NaN or infinity.
        """
        try:
            made = self._generate(photo.pixels())
        except FloatingPointError as error:
            raise ModelError(
                f"model {self.settings.model}: image {photo.image_id}: {error}; expected finite numbers; "
                f"{precision_advice(self.settings.dtype)}"
            ) from error
        scores = made["scores"].numpy().astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        codes = made["rle_mask"]
        counts = [encode_mask(_as_mask(codes[row], photo.height, photo.width)) for row in order]
        return of_codes(counts, photo.height, photo.width, confidence=scores[order])

    def _generate(self, rgb: NDArray[np.uint8]) -> dict[str, Any]:
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
        return made

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
        ModelError: The model is not here or is no mask generator, or there is no such device.
        ParameterError: The device is too slow for the number type.
    """
    place = choose_device(device)
    check_precision(place, settings.dtype, f"model {settings.model}: dtype")
    inspect_sam(settings.model, settings.revision)
    found = identify_model(settings.model, settings.revision, MASK_GENERATOR.patterns)
    where, advice = _describe(settings, found)
    processor = load_pretrained(AutoImageProcessor, found.folder, where, advice, {})
    return SamSource(settings, found, processor, place)


def _describe(settings: SamSettings, found: ModelIdentity) -> tuple[str, str]:
    """What messages call the model, and what to do where it cannot be loaded."""
    folder = ModelFolder(settings.model, settings.revision, found.folder, MASK_GENERATOR)
    return (
        f"model {settings.model}",
        f"expected a model of the SAM family with preprocessor_config.json; {folder.advice} or name another",
    )


def _padded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo with black below or to the right of it where it is longer than `MAX_ASPECT`."""
    least = ceil(max(rgb.shape[:2]) / MAX_ASPECT)
    below, right = (max(0, least - side) for side in rgb.shape[:2])
    return np.pad(rgb, ((0, below), (0, right), (0, 0))) if below or right else rgb


def _as_mask(code: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """A run-length code of transformers, column-major, as bool `[height width]` without the padding."""
    rows, columns = code["size"]
    runs = np.arange(len(code["counts"])) % 2 == 1
    return np.ascontiguousarray(np.repeat(runs, code["counts"]).reshape(columns, rows).T[:height, :width])
