"""How many sentences go through the U-Net together: told, or found from the memory there is."""

from typing import Literal

import torch

from refdiff.errors import ModelError

# Latent pixels of a full batch, sentences x side x side, beyond which a larger one brings nothing: on an accelerator
# 16 sentences at 1024 canvas pixels; on a CPU, where what fits the caches is faster, 4 sentences at 512.
_ACCELERATOR_PIXELS = 16 * 128 * 128
_CPU_PIXELS = 4 * 64 * 64
_MOST_SENTENCES = 64

# Sentences of the batch whose memory is measured.
_TRIAL_SENTENCES = 2

# Share of the free memory that a batch may take: passes differ, and the allocator loses some to gaps.
_SAFE_SHARE = 0.7


class BatchSize:
    """The size of the batches of one capture.

    On a CPU `auto` is a matter of the latent's size alone, so that the same work has the same bits on every run. On an
    accelerator the first batch is small; the memory that it took says how many sentences fit. Where that was too much
    after all, `halve` goes on with less.

    Attributes:
        sentences: Of the next batch.
    """

    def __init__(self, setting: int | Literal["auto"], latent_px: int, device: torch.device) -> None:
        """As set by `batch_sentences`, for latents of this side on this device."""
        self._is_auto = setting == "auto"
        self._device = device
        self._before = 0
        on_gpu = device.type == "cuda"
        pixels = _ACCELERATOR_PIXELS if on_gpu else _CPU_PIXELS
        self._most = min(max(pixels // latent_px**2, 1), _MOST_SENTENCES)
        self._measures = self._is_auto and on_gpu
        self.sentences = setting if setting != "auto" else min(self._most, _TRIAL_SENTENCES if on_gpu else self._most)

    def start_batch(self) -> None:
        """Called before a batch."""
        if self._measures:
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)

    def end_batch(self, sentences: int) -> None:
        """Called after a batch of so many sentences: the first one is measured."""
        if self._measures:
            self._measures = False
            used = torch.cuda.max_memory_allocated(self._device) - self._before
            torch.cuda.empty_cache()
            free, _ = torch.cuda.mem_get_info(self._device)
            self.sentences = sentences_that_fit(used, sentences, free, self._most)

    def halve(self, sentences: int) -> None:
        """Go on with half of so many, for which the memory did not suffice.

        Raises:
            ModelError: It was told and not found, or one sentence is too much.
        """
        if not self._is_auto or sentences == 1:
            raise ModelError(
                f"batch_sentences: the device's memory is too small for {sentences} sentences at a time; "
                "use auto or a smaller number, a smaller canvas_px, or a half-precision dtype"
            )
        self._measures = False
        self.sentences = sentences // 2
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def sentences_that_fit(used: int, sentences: int, free: int, most: int) -> int:
    """Sentences whose pass fits the free memory, by that of a smaller pass.

    Args:
        used: Bytes that a pass took, beyond what stays.
        sentences: Sentences in it.
        free: Bytes that are free without it.
        most: The result is not more.

    Returns:
        1 to `most`.
    """
    each = max(used / sentences, 1.0)
    return max(1, min(int(_SAFE_SHARE * free / each), most))
