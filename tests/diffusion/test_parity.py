"""The released formulas: text states, latents and guided maps of the reference values (tests/fixtures/parity)."""

import numpy as np
import pytest
import torch

from refdiff.diffusion.denoise import open_runs
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.plan import plan_capture
from refdiff.diffusion.prompts import encode_prompts
from tests.diffusion.rows import RELEASED, make_capture
from tests.parity_cases import NAMES, load_case

CANVAS_PX = 256
MAP_PX = CANVAS_PX // 32


@pytest.mark.parametrize("name", NAMES)
def test_released_formulas(extractor: AttentionExtractor, name: str):
    values, model = load_case(name).values, extractor.model
    sentence, position = str(values["sent"]), int(values["core_index"])
    capture = make_capture(RELEASED, canvas_px=CANVAS_PX, cross_layers={"map_px": [MAP_PX]})
    plan = plan_capture(model.identity, capture)
    assert [run.timestep for run in plan.runs] == values["timesteps"].tolist()
    assert plan.runs[0].noised_at == 101

    conditional = encode_prompts(model, [sentence + capture.prompt_suffix])
    unconditional = encode_prompts(model, [capture.negative_prompt])
    np.testing.assert_allclose(conditional[0], values["conditioning"], atol=1e-5)
    np.testing.assert_allclose(unconditional[0], values["unconditional"], atol=1e-5)

    inputs: list[torch.Tensor] = []
    hook = model.unet.register_forward_pre_hook(lambda _module, args: inputs.append(args[0].clone()))
    latent, noise = torch.from_numpy(values["latent"]), torch.from_numpy(values["noise"])
    tokens = extractor.count_tokens(sentence)
    with (
        torch.inference_mode(),
        open_runs(model, plan, capture, latent, noise, unconditional, tokens) as runs,
    ):
        maps = runs.read_sentences(conditional, [0])
    hook.remove()
    for latents in inputs:  # conditional and unconditional row of each step
        assert torch.equal(*latents)
    np.testing.assert_allclose(inputs[0][0], values["latent_steps"][0], atol=1e-4)
    np.testing.assert_allclose(inputs[1][0], values["latent_steps"][1], atol=1e-4)

    keys = plan.cross_keys[MAP_PX, MAP_PX]
    got = np.stack([maps[key.step][key.layer][0, position - 1].numpy() for key in keys])
    low, high = got.min((1, 2), keepdims=True), got.max((1, 2), keepdims=True)
    np.testing.assert_allclose((got - low) / (high - low), values["layer_maps"], atol=1e-4)


def test_the_latent_of_the_photo_fits_the_reference(extractor: AttentionExtractor):
    """The reference drew from the posterior, so its latent is near the mean, by the posterior's own deviation."""
    values = load_case(NAMES[0]).values
    capture = make_capture(RELEASED, canvas_px=CANVAS_PX, sample_posterior=False)
    mean = extractor.encode_photo(values["image"], "a", capture)
    drawn = extractor.encode_photo(values["image"], "a", make_capture(RELEASED, canvas_px=CANVAS_PX))
    spread = float((drawn - mean).std())
    assert float((torch.from_numpy(values["latent"]) - mean).std()) == pytest.approx(spread, rel=0.05)
