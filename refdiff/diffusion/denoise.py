"""Photos through a schedule: the U-Net passes of their sentences, and the maps that they leave."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from refdiff.diffusion.capture import AttentionReader, PassEnded, read_attention
from refdiff.diffusion.model import DiffusionModel
from refdiff.diffusion.plan import CapturePlan
from refdiff.diffusion.row_sharing import RowSharing, share_rows
from refdiff.diffusion.schedule import Run, add_noise, denoise
from refdiff.diffusion.settings import CaptureSettings

# By U-Net run, then by layer name: float32 maps.
MapsByRun = list[dict[str, torch.Tensor]]


@dataclass(frozen=True, slots=True)
class _Pass:
    """What a U-Net pass gave.

    Attributes:
        prediction: float32 `[row channel y x]`; None when the pass ended before it.
        cross: By layer name, float32 `[row token y x]`, of the rows that were read.
    """

    prediction: torch.Tensor | None
    cross: dict[str, torch.Tensor]

    def rows(self, start: int, stop: int | None) -> "_Pass":
        """Rows next to each other; maps only where there are any of them."""
        prediction = None if self.prediction is None else self.prediction[start:stop]
        cross = {name: maps[start:stop] for name, maps in self.cross.items() if len(maps) > start}
        return _Pass(prediction, cross)


@dataclass(slots=True)
class PhotoRuns:
    """The U-Net runs of some photos.

    Every run that starts from the noised photo has the same input for all its sentences: its unconditional row is
    computed once and kept until the sentences of the next photo come.

    Attributes:
        model: The loaded pipeline.
        capture: What is asked.
        runs: The schedule.
        latents: float32 `[photo channel y x]`, scaled.
        noise: float32, the same shape.
        unconditional: Text states of the negative prompt, `[1 token channel]`.
        tokens: Tokens whose maps are kept: those of the longest sentence.
        reader: Reads the layers that the capture keeps.
        sharing: Computes once what rows have in common.
    """

    model: DiffusionModel
    capture: CaptureSettings
    runs: Sequence[Run]
    latents: torch.Tensor
    noise: torch.Tensor
    unconditional: torch.Tensor
    tokens: int
    reader: AttentionReader
    sharing: RowSharing
    _kept: dict[tuple[int, int], _Pass] = field(default_factory=dict)

    def read_sentences(self, conditional: torch.Tensor, photo_of: Sequence[int]) -> MapsByRun:
        """Cross-attention maps of some sentences, of one photo or of several.

        Args:
            conditional: Text states of their prompts, `[sentence token channel]`.
            photo_of: The photo of each sentence; those of a photo side by side.

        Returns:
            By run and layer name, float32 `[sentence token height width]`, `tokens` of them.

        Source: docs/method.md, "Noise" and "Cross-attention"; guidance: uncond + g (cond - uncond).
        """
        maps: MapsByRun = []
        photos = sorted(set(photo_of))
        latents, latent_of = self.latents, [photos.index(photo) for photo in photo_of]
        for step, run in enumerate(self.runs):
            if run.noised_at is None:
                latent_of = list(range(len(photo_of)))
            else:
                latents = self._noised(run, photos)
            leads_on = self._leads_on(step)
            guided = self._run_guided(step, photos, latents, latent_of, conditional)
            maps.append(guided.cross)
            if leads_on:
                assert guided.prediction is not None
                latents = self._step(latents[latent_of], guided.prediction, step)
        self._kept = {key: value for key, value in self._kept.items() if key[1] == photos[-1]}
        return maps

    def read_self_attention(self, photo: int) -> MapsByRun:
        """Self-attention maps of a photo, by run and layer name, float32 `[1 pixel pixel]`.

        From a denoising of its own by the negative prompt alone, so that they belong to the photo.
        """
        maps: MapsByRun = []
        latents = self.latents
        for step, run in enumerate(self.runs):
            if run.noised_at is not None:
                latents = self._noised(run, [photo])
            leads_on = self._leads_on(step)
            self.reader.expect(0, 0, read_self=True, to_the_end=leads_on)
            prediction = self._run_unet(run, latents, [0], self.unconditional)
            maps.append(self.reader.self_attention)
            if leads_on:
                assert prediction is not None
                latents = self._step(latents, prediction, step)
        return maps

    def _leads_on(self, step: int) -> bool:
        """Whether the next run starts from this one's prediction."""
        return step + 1 < len(self.runs) and self.runs[step + 1].noised_at is None

    def _run_guided(
        self,
        step: int,
        photos: Sequence[int],
        latents: torch.Tensor,
        latent_of: Sequence[int],
        conditional: torch.Tensor,
    ) -> _Pass:
        """One run of some sentences, with guidance: one pass, whose last rows are unconditional, one for each latent.

        Args:
            step: Which run.
            photos: The photos that the sentences are about.
            latents: `[latent channel y x]`: of the photos when the run starts from them, otherwise of the sentences.
            latent_of: The latent of each sentence.
            conditional: `[sentence token channel]`.
        """
        run, sentences, with_maps = self.runs[step], len(latent_of), self.capture.guided_maps
        leads_on, scale = self._leads_on(step), self.capture.guidance
        if scale == 1 or not (leads_on or with_maps):
            return self._run_rows(run, latents, latent_of, conditional, sentences, leads_on)
        is_shared = run.noised_at is not None
        new = [index for index in range(len(latents)) if not (is_shared and (step, photos[index]) in self._kept)]
        states = torch.cat([conditional, self.unconditional.expand(len(new), -1, -1)])
        read = sentences + len(new) if with_maps else sentences
        both = self._run_rows(run, latents, [*latent_of, *new], states, read, leads_on)
        plain = both.rows(sentences, None)
        if is_shared:
            for row, index in enumerate(new):
                self._kept[step, photos[index]] = plain.rows(row, row + 1)
            plain = _join([self._kept[step, photos[index]] for index in latent_of])
        return _guide(both.rows(0, sentences), plain, scale)

    def _run_rows(
        self, run: Run, latents: torch.Tensor, latent_of: Sequence[int], states: torch.Tensor, read: int, leads_on: bool
    ) -> _Pass:
        """One pass that reads the cross-attention of the first `read` rows."""
        self.reader.expect(self.tokens, read, read_self=False, to_the_end=leads_on)
        prediction = self._run_unet(run, latents, latent_of, states)
        return _Pass(prediction, self.reader.cross)

    def _run_unet(
        self, run: Run, latents: torch.Tensor, latent_of: Sequence[int], states: torch.Tensor
    ) -> torch.Tensor | None:
        """The prediction of a pass, float32 `[row channel y x]`; None when the reader ended it."""
        device = latents.device
        self.sharing.expect(latent_of, device)
        rows = latents.to(self.model.dtype)[list(latent_of)]
        timestep = torch.tensor(run.timestep, device=device)
        try:
            return self.model.unet(rows, timestep, encoder_hidden_states=states, return_dict=False)[0].float()
        except PassEnded:
            return None

    def _noised(self, run: Run, photos: Sequence[int]) -> torch.Tensor:
        assert run.noised_at is not None
        chosen = list(photos)
        return add_noise(self.latents[chosen], self.noise[chosen], self.model.alphas[run.noised_at])

    def _step(self, latents: torch.Tensor, prediction: torch.Tensor, step: int) -> torch.Tensor:
        alphas = self.model.alphas
        here, there = alphas[self.runs[step].timestep], alphas[self.runs[step + 1].timestep]
        return denoise(latents, prediction, here, there, self.model.prediction)


@contextmanager
def open_runs(
    model: DiffusionModel,
    plan: CapturePlan,
    capture: CaptureSettings,
    latents: torch.Tensor,
    noise: torch.Tensor,
    unconditional: torch.Tensor,
    tokens: int,
) -> Iterator[PhotoRuns]:
    """The runs of some photos, with the U-Net made ready for them; it is as before at the end, also on errors.

    Args:
        model: The loaded pipeline.
        plan: What the capture runs and keeps with this model.
        capture: What is asked.
        latents: See `PhotoRuns`; so are the others.

    Raises:
        ModelError: A layer that is read does more than plain scaled dot-product attention.
    """
    unet = model.unet
    with (
        read_attention(unet, plan.cross, plan.self_attention, capture.quantity) as reader,
        share_rows(unet, plan.text_free) as sharing,
    ):
        yield PhotoRuns(model, capture, plan.runs, latents, noise, unconditional, tokens, reader, sharing)


def _guide(guided: _Pass, plain: _Pass, scale: float) -> _Pass:
    """Classifier-free guidance of the prediction and, where the unconditional maps were read, of the maps."""
    prediction, cross = guided.prediction, guided.cross
    if prediction is not None:
        assert plain.prediction is not None
        prediction = plain.prediction + scale * (prediction - plain.prediction)
    if plain.cross:
        cross = {name: plain.cross[name] + scale * (maps - plain.cross[name]) for name, maps in cross.items()}
    return _Pass(prediction, cross)


def _join(rows: Sequence[_Pass]) -> _Pass:
    """Passes of one row each, as one."""
    predictions = [row.prediction for row in rows if row.prediction is not None]
    cross = {name: torch.cat([row.cross[name] for row in rows]) for name in rows[0].cross}
    return _Pass(torch.cat(predictions) if predictions else None, cross)
