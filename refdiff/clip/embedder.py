"""CLIP embeddings of texts and of the candidate masks of a photo, in memory, unit length."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from refdiff.clip.global_view import global_view, visible_patches
from refdiff.clip.local_view import CropFrame, local_view
from refdiff.clip.mask_stack import MaskStack, iterate_masks
from refdiff.clip.model import ClipModel, load_clip
from refdiff.clip.ramps import apply_ramp
from refdiff.clip.settings import ClipSettings
from refdiff.errors import ImageError, ModelError
from refdiff.finite import precision_advice

WAITING_BATCHES = 8  # batches' worth of crops that may wait for others of their size


@dataclass(frozen=True, slots=True)
class PhotoViews:
    """Embeddings of one photo's masks, float32 `[n D]` of unit length per variant (see `refdiff.clip.ramps`).

    Attributes:
        local: Crops of the masked photo.
        global_view: Class tokens that see the patches of each mask.
    """

    local: Mapping[str, NDArray[np.float32]]
    global_view: Mapping[str, NDArray[np.float32]]


class _Kind(NamedTuple):
    """Crops that go through the model together: their size on whole patches, and whether positions are moved."""

    height: int
    width: int
    moved: bool


class ClipEmbedder:
    """A loaded CLIP model and how photos and texts are shown to it.

    Args:
        settings: The section `embed_clip`.
        model: A model that is loaded already; None loads the one that the settings name.

    Attributes:
        dim: Length of an embedding.
        identity: Which checkpoint is loaded.

    Raises:
        ModelError: The model cannot be loaded or is of another kind.
    """

    def __init__(self, settings: ClipSettings, model: ClipModel | None = None) -> None:
        self._settings = settings
        self._model = model or load_clip(settings.model, settings.pretrained, settings.device, settings.dtype)
        self.identity = self._model.identity
        self.dim = self._model.tower.dim
        self._crops = CropFrame(
            image_px=self._model.tower.image_px,
            patch_px=self._model.tower.patch_px,
            max_aspect=settings.crop_max_aspect,
            interpolation=settings.interpolation,
            background_rgb=settings.crop_background_rgb,
        )

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Each text encoded alone, as a whole, float32 `[n D]`; what exceeds the model's context is cut off.

        Raises:
            ModelError: An embedding is not finite, or has no length.

        Source: docs/method.md, "Texts": sentence and head word are encoded each by itself.
        """
        parts = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(texts), self._settings.text_batch):
            batch = list(texts[start : start + self._settings.text_batch])
            embedded = self._model.network.encode_text(self._model.tokenize(batch).to(self._model.device))
            parts.append(self._unit(embedded, lambda row, batch=batch: f"text {batch[row]!r}"))
        return np.concatenate(parts)

    def embed_photo(
        self,
        photo: NDArray[np.uint8],
        masks: MaskStack,
        local_variants: Sequence[str],
        global_variants: Sequence[str],
    ) -> PhotoViews:
        """Both views of every mask.

        Args:
            photo: RGB uint8 `[height width 3]`.
            masks: Bool `[n height width]`, or anything that gives such slices (`CodedMasks`); none may be empty.
            local_variants: Position variants of the local view.
            global_variants: Position variants of the global view.

        Raises:
            ImageError: Not such a photo.
            MaskError: A mask is empty or not of the photo's size.
            ModelError: An embedding is not finite, or has no length.
        """
        return PhotoViews(
            local={variant: self.embed_local(photo, masks, variant) for variant in local_variants},
            global_view={variant: self.embed_global(photo, masks, variant) for variant in global_variants},
        )

    @torch.inference_mode()
    def embed_local(self, photo: NDArray[np.uint8], masks: MaskStack, variant: str) -> NDArray[np.float32]:
        """The local view of every mask, float32 `[n D]`.

        Crops of one size go through the model together. Crops that wait for others of their size are bounded in
        number, so thousands of masks need no more memory than a few batches.
        """
        height, width = _photo_size(photo)
        limit, tower = self._settings.batch_tokens, self._model.tower
        ramped = apply_ramp(photo, variant)
        views = np.zeros((masks.shape[0], self.dim), dtype=np.float32)
        waiting: dict[_Kind, list[tuple[int, NDArray[np.uint8]]]] = {}

        def embed_batch(kind: _Kind) -> None:
            batch = waiting.pop(kind)
            pixels = self._pixels([crop for _, crop in batch])
            embedded = tower.embed_images(pixels, moved=kind.moved)
            views[[index for index, _ in batch]] = self._unit(embedded, lambda row: f"mask {batch[row][0]}: local view")

        tokens_waiting = 0
        for index, mask in iterate_masks(masks, height, width):
            crop = local_view(ramped, mask, self._crops)
            kind = _Kind(*crop.pixels.shape[:2], moved=not tower.keeps_positions(crop.size))
            waiting.setdefault(kind, []).append((index, crop.pixels))
            tokens_waiting += self._tokens_of(kind)
            if len(waiting[kind]) * self._tokens_of(kind) >= limit:
                tokens_waiting -= len(waiting[kind]) * self._tokens_of(kind)
                embed_batch(kind)
            elif tokens_waiting >= WAITING_BATCHES * limit:
                fullest = max(waiting, key=lambda key: (len(waiting[key]) * self._tokens_of(key), key))
                tokens_waiting -= len(waiting[fullest]) * self._tokens_of(fullest)
                embed_batch(fullest)
        for kind in list(waiting):
            embed_batch(kind)
        return views

    @torch.inference_mode()
    def embed_global(self, photo: NDArray[np.uint8], masks: MaskStack, variant: str) -> NDArray[np.float32]:
        """The global view of every mask, float32 `[n D]`: one pass over the photo for all of them."""
        size = _photo_size(photo)
        settings, tower = self._settings, self._model.tower
        if masks.shape[0] == 0:
            return np.zeros((0, self.dim), dtype=np.float32)
        whole = global_view(
            apply_ramp(photo, variant),
            tower.patch_px,
            int(settings.global_max_side * tower.image_px),
            settings.global_fit,
            settings.interpolation,
        )
        grid = (whole.pixels.shape[0] // tower.patch_px, whole.pixels.shape[1] // tower.patch_px)
        visible = torch.from_numpy(visible_patches(masks, size, grid)).to(self._model.device)
        pixels, moved = self._pixels([whole.pixels]), not tower.keeps_positions(whole.size)
        embedded = tower.embed_masked(pixels, visible, settings.class_tokens, moved=moved)
        return self._unit(embedded, lambda row: f"mask {row}: global view")

    def _tokens_of(self, kind: _Kind) -> int:
        return kind.height * kind.width // self._model.tower.patch_px**2

    def _unit(self, embeddings: Tensor, name: Callable[[int], str]) -> NDArray[np.float32]:
        """Embeddings at unit length, float32 `[n D]`; `name` says what row i is of.

        Raises:
            ModelError: One has no unit length: a value or its length is not finite, or it is zero.
        """
        unit = F.normalize(embeddings.float(), dim=-1).cpu().numpy()
        # The length of what holds NaN is NaN, and that of what is zero, or too long to have a length, is 0.
        bad = np.flatnonzero(~(np.linalg.norm(unit, axis=-1) > 0.5))
        if len(bad):
            dtype = self._settings.dtype
            raise ModelError(
                f"{name(int(bad[0]))}: its embedding by {self.identity.name} in {dtype} holds NaN or infinity, or is "
                f"zero; expected finite numbers; {precision_advice(dtype)}"
            )
        return unit

    def _pixels(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Images of one size, normalised for the model, `[batch 3 height width]`."""
        model = self._model
        pixels = torch.from_numpy(np.stack(images)).to(model.device).permute(0, 3, 1, 2).float() / 255.0
        mean = torch.tensor(model.mean, device=model.device).reshape(1, 3, 1, 1)
        std = torch.tensor(model.std, device=model.device).reshape(1, 3, 1, 1)
        return ((pixels - mean) / std).to(model.dtype)


def _photo_size(photo: NDArray[np.uint8]) -> tuple[int, int]:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or photo.size == 0:
        raise ImageError(f"photo: expected RGB uint8 [height width 3], got {photo.dtype} {list(photo.shape)}")
    return photo.shape[0], photo.shape[1]
