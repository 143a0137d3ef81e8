"""Denoising schedules: where noise is added, where the U-Net runs, and how one run's latent becomes the next one's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from refdiff.diffusion.settings import Img2ImgSchedule, SingleSchedule
from refdiff.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

Prediction = Literal["epsilon", "v_prediction", "sample"]

# DDIM's timesteps are 1, 1 + T/steps, ...: moved by one, so that the last denoising step ends at the first.
FIRST_TIMESTEP = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One U-Net run.

    Attributes:
        timestep: Where it runs.
        noised_at: Its input is the image with noise of this timestep; None: the previous run's latent, denoised.
    """

    timestep: int
    noised_at: int | None


def plan_runs(schedule: SingleSchedule | Img2ImgSchedule, train_timesteps: int) -> tuple[Run, ...]:
    """The U-Net runs of a schedule, in order.

    Args:
        schedule: Its parameters.
        train_timesteps: Timesteps that the model was trained with.

    Raises:
        ParameterError: A timestep or the number of steps is more than the model has.

    Source: docs/method.md, "Noise": released code, noise of one DDIM timestep further up than the first run (20 steps,
        strength 0.1: noise at 101, runs at 51 and 1).
    """
    if isinstance(schedule, SingleSchedule):
        beyond = [step for step in schedule.timesteps if step >= train_timesteps]
        if beyond:
            raise ParameterError(
                f"schedule.timesteps: {beyond[0]} is beyond the model; expected 0 to {train_timesteps - 1}"
            )
        return tuple(Run(step, noised_at=step) for step in schedule.timesteps)
    if schedule.steps > train_timesteps:
        raise ParameterError(
            f"schedule.steps: {schedule.steps} is more than the model has; expected at most {train_timesteps}"
        )
    stride = train_timesteps // schedule.steps
    timesteps = [FIRST_TIMESTEP + stride * index for index in range(schedule.runs + 1)]
    last = train_timesteps - 1
    noised_at, *runs = [min(step, last) for step in reversed(timesteps)]
    return tuple(Run(step, noised_at if index == 0 else None) for index, step in enumerate(runs))


def add_noise(latent: "Tensor", noise: "Tensor", alpha: float) -> "Tensor":
    """The latent with noise mixed in.

    Args:
        latent: Any shape, scaled as the U-Net expects.
        noise: The same shape, standard normal.
        alpha: Cumulative product of the schedule at the timestep, in [0, 1].
    """
    return alpha**0.5 * latent + (1 - alpha) ** 0.5 * noise


def denoise(latent: "Tensor", output: "Tensor", alpha: float, next_alpha: float, prediction: Prediction) -> "Tensor":
    """One DDIM step with eta 0.

    Args:
        latent: Input of the U-Net.
        output: What it predicted, the same shape.
        alpha: Cumulative product of the schedule at the timestep of the run.
        next_alpha: The same at the timestep that the step leads to.
        prediction: What the U-Net was trained to predict.

    Source: Song et al., arXiv 2010.02502, equation 12; Salimans and Ho, arXiv 2202.00512, for v.
    """
    if prediction == "epsilon":
        noise = output
        image = (latent - (1 - alpha) ** 0.5 * noise) / alpha**0.5
    elif prediction == "v_prediction":
        image = alpha**0.5 * latent - (1 - alpha) ** 0.5 * output
        noise = alpha**0.5 * output + (1 - alpha) ** 0.5 * latent
    else:
        image = output
        noise = (latent - alpha**0.5 * image) / (1 - alpha) ** 0.5
    return next_alpha**0.5 * image + (1 - next_alpha) ** 0.5 * noise
