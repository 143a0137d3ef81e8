"""Noise belongs to (seed, image id)."""

import torch

from refdiff.diffusion.noise import draw_noise

SHAPE = (1, 4, 8, 8)


def test_the_order_of_images_does_not_matter():
    forth = {name: draw_noise(0, name, "diffusion", SHAPE) for name in ("a", "b", "c")}
    torch.manual_seed(99)
    back = {name: draw_noise(0, name, "diffusion", SHAPE) for name in ("c", "b", "a")}
    for name, noise in forth.items():
        torch.testing.assert_close(noise, back[name], atol=0, rtol=0)


def test_drawing_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    draw_noise(0, "a", "diffusion", SHAPE)
    torch.testing.assert_close(torch.randn(3), expected, atol=0, rtol=0)


def test_seed_image_and_purpose_all_count():
    draws = [
        draw_noise(0, "a", "diffusion", SHAPE),
        draw_noise(1, "a", "diffusion", SHAPE),
        draw_noise(0, "b", "diffusion", SHAPE),
        draw_noise(0, "a", "posterior", SHAPE),
        draw_noise(1, "1", "diffusion", SHAPE),
        draw_noise(11, "", "diffusion", SHAPE),
    ]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == len(draws)


def test_noise_is_standard_normal():
    noise = draw_noise(0, "a", "diffusion", (1, 4, 64, 64))
    assert noise.dtype == torch.float32
    assert abs(float(noise.mean())) < 0.03
    assert abs(float(noise.std()) - 1) < 0.03
