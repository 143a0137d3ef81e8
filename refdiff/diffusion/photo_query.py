"""What is asked about a photo, and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps, MapKey, SelfMaps
from refdiff.diffusion.denoise import MapsByRun
from refdiff.errors import ModelError
from refdiff.finite import precision_advice


@dataclass(frozen=True, slots=True, eq=False)
class PhotoQuery:
    """A photo and what is asked about it.

    Attributes:
        image_id: Seeds the noise, together with the settings' seed.
        latent: Of the photo on the capture's canvas, float32 `[1 channel y x]` on any device
            (`AttentionExtractor.encode_photo`, or as it was kept).
        sentences: Any number of them.
        with_self: Whether the self-attention that the capture names is wanted too.
    """

    image_id: str
    latent: torch.Tensor
    sentences: Sequence[str]
    with_self: bool


@dataclass(frozen=True, slots=True)
class ImageMaps:
    """What a capture keeps of one image.

    Attributes:
        cross: One per sentence, in the order in which they were given.
        self_attention: Of the image; None when not asked for.
    """

    cross: list[CrossMaps]
    self_attention: SelfMaps | None


def stack_maps(maps: MapsByRun, keys: Sequence[MapKey], rows: Sequence[str], dtype: torch.dtype) -> NDArray[np.float32]:
    """Maps of one size side by side: `[row token map y x]` of cross-, `[row map pixel pixel]` of self-attention.

    Args:
        maps: By run and layer.
        keys: Which of them.
        rows: The image, and the sentence if any, of each row, for messages.
        dtype: Precision of the U-Net, for messages.

    Raises:
        ModelError: A value is not finite.
    """
    each = [maps[key.step][key.layer] for key in keys]
    block = torch.stack(each, dim=each[0].ndim - 2)
    finite = torch.isfinite(block).flatten(1).all(dim=1).tolist()
    if not all(finite):
        raise ModelError(f"{rows[finite.index(False)]}: attention maps are not finite; {precision_advice(dtype)}")
    return block.cpu().numpy()
