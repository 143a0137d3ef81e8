"""One image through a schedule: the U-Net runs of its sentences, and the maps that they leave."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from refdiff.diffusion.capture import AttentionReader
from refdiff.diffusion.model import DiffusionModel
from refdiff.diffusion.schedule import Run, add_noise, denoise
from refdiff.diffusion.settings import CaptureSettings

# By U-Net run, then by layer name: float32 maps.
MapsByRun = list[dict[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one U-Net run gave: prediction `[batch channel y x]`, cross maps by layer name `[batch token y x]`."""

    prediction: torch.Tensor
    cross: dict[str, torch.Tensor]


@dataclass(slots=True)
class ImageRuns:
    """The U-Net runs of one image.

    Every run that starts from the noised image has the same input for all sentences, so its unconditional pass is run
    once and kept here.

    Attributes:
        model: The loaded pipeline.
        reader: Reads the layers that the capture keeps.
        capture: What is asked.
        runs: The schedule.
        latent: float32 `[1 channel y x]`, scaled.
        noise: float32, the same shape.
        unconditional: Text states of the negative prompt, `[1 token channel]`.
        tokens: Tokens of the image's longest sentence.
    """

    model: DiffusionModel
    reader: AttentionReader
    capture: CaptureSettings
    runs: Sequence[Run]
    latent: torch.Tensor
    noise: torch.Tensor
    unconditional: torch.Tensor
    tokens: int
    _shared: dict[int, _Pass] = field(default_factory=dict)

    def read_sentences(self, conditional: torch.Tensor) -> MapsByRun:
        """Cross-attention maps of some sentences of the image.

        Args:
            conditional: Text states of their prompts, `[sentence token channel]`.

        Returns:
            By run and layer name, float32 `[sentence token height width]`, `tokens` of them.

        Source: method.md, generative score 1 and 3; guidance: uncond + g (cond - uncond).
        """
        capture, scale = self.capture, self.capture.guidance
        maps: MapsByRun = []
        latents = self.latent
        for step, run in enumerate(self.runs):
            if run.noised_at is not None:
                latents = self._noised(run)
            leads_on = step + 1 < len(self.runs) and self.runs[step + 1].noised_at is None
            guided = self._run_unet(latents, run, conditional, self.tokens)
            if scale != 1 and (leads_on or capture.guided_maps):
                plain = self._run_unconditional(step, run, latents)
                prediction = plain.prediction + scale * (guided.prediction - plain.prediction)
                cross = guided.cross
                if capture.guided_maps:
                    cross = {
                        name: plain.cross[name] + scale * (map_ - plain.cross[name]) for name, map_ in cross.items()
                    }
                guided = _Pass(prediction, cross)
            maps.append(guided.cross)
            if leads_on:
                latents = self._step(latents, guided.prediction, step)
        return maps

    def read_self_attention(self) -> MapsByRun:
        """Self-attention maps of the image, by run and layer name, float32 `[1 pixel pixel]`.

        From a denoising of its own by the negative prompt alone, so that they belong to the image.
        """
        maps: MapsByRun = []
        latents = self.latent
        for step, run in enumerate(self.runs):
            if run.noised_at is not None:
                latents = self._noised(run)
            plain = self._run_unet(latents, run, self.unconditional, 0, read_self=True)
            maps.append(self.reader.self_attention)
            if step + 1 < len(self.runs):
                latents = self._step(latents, plain.prediction, step)
        return maps

    def _noised(self, run: Run) -> torch.Tensor:
        assert run.noised_at is not None
        return add_noise(self.latent, self.noise, self.model.alphas[run.noised_at])

    def _step(self, latents: torch.Tensor, prediction: torch.Tensor, step: int) -> torch.Tensor:
        alphas = self.model.alphas
        here, there = alphas[self.runs[step].timestep], alphas[self.runs[step + 1].timestep]
        return denoise(latents, prediction, here, there, self.model.prediction)

    def _run_unconditional(self, step: int, run: Run, latents: torch.Tensor) -> _Pass:
        tokens = self.tokens if self.capture.guided_maps else 0
        if run.noised_at is None:
            return self._run_unet(latents, run, self.unconditional, tokens)
        if step not in self._shared:
            self._shared[step] = self._run_unet(latents, run, self.unconditional, tokens)
        return self._shared[step]

    def _run_unet(
        self, latents: torch.Tensor, run: Run, states: torch.Tensor, tokens: int, read_self: bool = False
    ) -> _Pass:
        batch = max(len(latents), len(states))
        latents = latents.expand(batch, -1, -1, -1).to(self.model.dtype)
        states = states.expand(batch, -1, -1)
        self.reader.expect(tokens, read_self)
        timestep = torch.tensor(run.timestep, device=latents.device)
        prediction = self.model.unet(latents, timestep, encoder_hidden_states=states, return_dict=False)[0]
        return _Pass(prediction.float(), self.reader.cross)
