"""From photos to their latents: found where they are kept, else computed.

A latent belongs to the photo, so it is the same for every split that has the photo, for every sentence, and for every
capture that puts it on the same canvas, whatever its timesteps, guidance, layers or prompts are.

The U-Net's unconditional row of a photo's first run belongs to the photo too, and is not kept. It would have to run in
a pass of its own, without what it shares with the rows of the photo's sentences before the first cross-attention; its
maps are far larger than a latent (1.6 MB for the released capture at 1024 canvas pixels); and keeping it would save 7 %
of a second split's work (benchmarks/README.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray

from refdiff import __version__
from refdiff.diffusion.autoencoder import VAE_DTYPE, encode_canvas
from refdiff.diffusion.canvas import open_canvas
from refdiff.diffusion.latent_pool import COLUMNS, LatentPool, describe_latent
from refdiff.geometry import CanvasMode
from refdiff.source_code import StageCode
from refdiff.store.pool import Pool

# From a photo's bytes to its latent in the pool.
CODE = StageCode("diffusion/latents.py")

# Their versions may move values, so they are part of what a latent is.
_LIBRARIES = ("torch", "diffusers", "pillow")


@dataclass(frozen=True, slots=True)
class LatentRecipe:
    """What decides a latent beside the photo.

    Attributes:
        model: Digest of the pipeline.
        device: Kind of device that the autoencoder is on.
        canvas_px: Side of the canvas.
        canvas_mode: How the photo is put on it.
        seed: Of the draw from the posterior, together with the image's id; None for the posterior's mean.
    """

    model: str
    device: str
    canvas_px: int
    canvas_mode: CanvasMode
    seed: int | None

    def facts(self) -> Mapping[str, Any]:
        """What the pool is named by."""
        return {
            "model": self.model,
            "dtype": str(VAE_DTYPE),
            "device": self.device,
            "parameters": describe_latent(self.canvas_px, self.canvas_mode, self.seed),
            "versions": {"refdiff": __version__, **{library: version(library) for library in _LIBRARIES}},
            "code": CODE.digest(),
        }

    def pool(self, root: Path, stage: str) -> Pool:
        """Where such latents are kept, below the project's folder; nothing is written yet."""
        return Pool(root, stage, "latents", self.facts(), COLUMNS)


@dataclass(frozen=True, slots=True, eq=False)
class ReadPhoto:
    """A photo as it was read.

    Attributes:
        image_id: Its id.
        digest: SHA-256 of its bytes.
        kept: Its latent as it was found, float32 `[channel y x]`; None where there was none.
        canvas: The photo on its canvas, RGB uint8 `[side side 3]`; None where the latent was found, and so nothing
            decoded.
    """

    image_id: str
    digest: str
    kept: NDArray[np.float32] | None
    canvas: NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True, eq=False)
class NewLatent:
    """A latent that was computed.

    Attributes:
        photo: SHA-256 of the photo's bytes.
        image_id: Its id.
        values: float32 `[channel y x]`.
    """

    photo: str
    image_id: str
    values: NDArray[np.float32]


class PhotoLatents:
    """The latents of a run's photos, in the order of its shards.

    The sentences of a photo may lie in two shards, one behind the other. The latents of the last shard are remembered,
    so that the photo is not encoded twice, though it was read for the second shard before the first was done.

    Args:
        vae: The autoencoder.
        recipe: What is asked of it.
        pool: Where latents are kept; None where they are not.
    """

    def __init__(self, vae: AutoencoderKL, recipe: LatentRecipe, pool: LatentPool | None) -> None:
        self._vae = vae
        self._recipe = recipe
        self._pool = pool
        self._last: dict[tuple[str, str], torch.Tensor] = {}

    def read(self, content: bytes, digest: str, where: str, image_id: str) -> ReadPhoto:
        """A photo's latent where it is kept, else its canvas; to be called in the thread that reads ahead.

        Args:
            content: The photo's bytes.
            digest: Their SHA-256.
            where: What messages call it.
            image_id: Its id.

        Raises:
            ImageError: It has to be decoded, and cannot be.
            StoreError: The pool cannot be read.
        """
        kept = None if self._pool is None else self._pool.find(digest, image_id)
        if kept is not None:
            return ReadPhoto(image_id, digest, kept, None)
        canvas = open_canvas(content, where, self._recipe.canvas_px, self._recipe.canvas_mode)
        return ReadPhoto(image_id, digest, None, canvas)

    def encode(self, photos: Sequence[ReadPhoto]) -> tuple[list[torch.Tensor], list[NewLatent]]:
        """The latents of a shard's photos, float32 `[1 channel y x]` each, and those that are to be kept.

        Raises:
            ModelError: The device's memory is too small.
        """
        latents: dict[tuple[str, str], torch.Tensor] = {}
        new: list[NewLatent] = []
        for photo in photos:
            key = photo.digest, photo.image_id
            latent = latents.get(key, self._last.get(key))
            if latent is None and photo.kept is not None:
                latent = torch.from_numpy(photo.kept)[None]
            if latent is None:
                assert photo.canvas is not None
                latent = encode_canvas(self._vae, photo.canvas, photo.image_id, self._recipe.seed)
                if self._pool is not None:
                    new.append(NewLatent(photo.digest, photo.image_id, latent[0].cpu().numpy()))
            latents[key] = latent
        self._last = latents
        return [latents[photo.digest, photo.image_id] for photo in photos], new
