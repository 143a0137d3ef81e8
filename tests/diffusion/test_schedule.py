"""Schedules: where noise is added, where the U-Net runs, and the DDIM step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refdiff.diffusion.schedule import Run, add_noise, denoise, plan_runs
from refdiff.diffusion.settings import Img2ImgSchedule, SingleSchedule
from refdiff.errors import ParameterError


def test_released_schedule():
    schedule = Img2ImgSchedule(kind="img2img", steps=20, strength=0.1)
    assert plan_runs(schedule, 1000) == (Run(51, noised_at=101), Run(1, noised_at=None))


def test_full_strength_stays_within_the_model():
    runs = plan_runs(Img2ImgSchedule(kind="img2img", steps=20, strength=1.0), 1000)
    assert len(runs) == 20
    assert runs[0] == Run(951, noised_at=999)
    assert runs[-1].timestep == 1


def test_single_schedule_noises_at_each_of_its_timesteps():
    runs = plan_runs(SingleSchedule(kind="single", timesteps=(2, 300)), 1000)
    assert runs == (Run(2, noised_at=2), Run(300, noised_at=300))


@pytest.mark.parametrize(
    "schedule",
    [SingleSchedule(kind="single", timesteps=(1000,)), Img2ImgSchedule(kind="img2img", steps=1000, strength=0.1)],
)
def test_more_than_the_model_has_is_refused(schedule: SingleSchedule | Img2ImgSchedule):
    with pytest.raises(ParameterError, match=r"schedule\..*expected"):
        plan_runs(schedule, 900)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.sampled_from(["epsilon", "v_prediction", "sample"]))
def test_a_perfect_prediction_leads_to_the_image_noised_less(alpha: float, next_alpha: float, prediction):
    image, noise = torch.randn(2, 1, 4, 3, 3, dtype=torch.float64)
    noised = add_noise(image, noise, alpha)
    perfect = {
        "epsilon": noise,
        "v_prediction": alpha**0.5 * noise - (1 - alpha) ** 0.5 * image,
        "sample": image,
    }
    stepped = denoise(noised, perfect[prediction], alpha, next_alpha, prediction)
    torch.testing.assert_close(stepped, add_noise(image, noise, next_alpha))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_ddim_step_of_diffusers(prediction):
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1,
        prediction_type=prediction,
    )  # fmt: skip
    scheduler.set_timesteps(20)
    latent, output = torch.randn(2, 1, 4, 8, 8)
    expected = scheduler.step(output, 51, latent, return_dict=False)[0]  # pyright: ignore[reportArgumentType]
    alphas = [float(alpha) for alpha in scheduler.alphas_cumprod]
    got = denoise(latent, output, alphas[51], alphas[1], prediction)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
