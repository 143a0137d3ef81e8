"""Loading: what is missing or of another kind is named, with what to do."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from refdiff.device import choose_device
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.pipeline_files import identify_pipeline
from refdiff.errors import ModelError, ParameterError
from tests.diffusion.rows import MODEL, PAPER, make_capture, make_photo, make_section


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "sd"))


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_hub_model_that_was_not_fetched_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"`hf download nobody/nothing --revision v1 .*unet/diffusion_pytorch_model"):
        AttentionExtractor(make_section(model="nobody/nothing", revision="v1"))


def test_a_missing_folder_is_no_hub_model():
    with pytest.raises(ModelError, match=r"model \./models/sd/none: no such folder"):
        AttentionExtractor(make_section(model="./models/sd/none"))


def test_a_folder_that_is_no_pipeline(tmp_path: Path):
    with pytest.raises(ModelError, match=r"has no model_index\.json"):
        AttentionExtractor(make_section(model=str(tmp_path)))


def test_a_folder_has_no_revision():
    with pytest.raises(ModelError, match="a folder has no revision, got 'main'"):
        AttentionExtractor(make_section(revision="main"))


def test_weights_must_be_safetensors(copy: Path):
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ModelError, match=r"has no unet/.*only pickled weights are there .*save_pretrained"):
        AttentionExtractor(make_section(model=str(copy)))


def test_broken_weights(copy: Path):
    weights = copy / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"its vae cannot be loaded: .*is no whole safetensors file"):
        AttentionExtractor(make_section(model=str(copy)))


def test_a_broken_configuration(copy: Path):
    (copy / "unet" / "config.json").write_text("{")
    with pytest.raises(ModelError, match="unet"):
        AttentionExtractor(make_section(model=str(copy)))


def test_two_text_encoders_are_not_handled(copy: Path):
    edit(copy / "model_index.json", _class_name="Other", text_encoder_2=["transformers", "CLIPTextModelWithProjection"])
    with pytest.raises(ModelError, match="SDXL is not handled"):
        AttentionExtractor(make_section(model=str(copy)))


def test_a_model_index_cannot_bring_code_along(copy: Path):
    edit(copy / "model_index.json", unet=["hostile", "Module"], _class_name=["hostile", "Pipeline"])
    (copy / "hostile.py").write_text("raise SystemExit('run')")
    with pytest.raises(ModelError, match="whose unet is Module; expected UNet2DConditionModel"):
        AttentionExtractor(make_section(model=str(copy)))


def test_v_prediction_is_read_from_the_scheduler(copy: Path):
    edit(copy / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")
    assert AttentionExtractor(make_section(model=str(copy))).model.prediction == "v_prediction"


def test_an_unknown_prediction_is_refused(copy: Path):
    edit(copy / "scheduler" / "scheduler_config.json", prediction_type="flow")
    with pytest.raises(ModelError, match="predicts 'flow'"):
        AttentionExtractor(make_section(model=str(copy)))


def test_the_digest_is_of_the_content(copy: Path):
    before = identify_pipeline(str(MODEL), None)
    assert identify_pipeline(str(copy), None).digest == before.digest
    edit(copy / "scheduler" / "scheduler_config.json", beta_end=0.013)
    assert identify_pipeline(str(copy), None).digest != before.digest


def test_float16_on_a_cpu_is_refused():
    with pytest.raises(ParameterError, match=r"^extract_attention\.dtype: .*expected bfloat16 or float32 on a CPU"):
        AttentionExtractor(make_section(dtype="float16"))


def test_the_vae_stays_in_single_precision():
    model = AttentionExtractor(make_section(dtype="bfloat16")).model
    assert {parameter.dtype for parameter in model.vae.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in model.unet.parameters()} == {torch.bfloat16}


@pytest.mark.skipif(torch.cuda.is_available(), reason="has an accelerator")
def test_an_accelerator_that_is_not_there():
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(ModelError, match="device cuda:1: not there, 0 CUDA devices"):
        choose_device("cuda:1")


def test_another_reduction_and_fewer_levels(tmp_path: Path):
    """A VAE that halves twice and a U-Net of three levels: nothing is the number 8 or 4."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    folder = Path(shutil.copytree(MODEL, tmp_path / "sd"))
    for part in ("unet", "vae"):
        shutil.rmtree(folder / part)
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, block_out_channels=(32, 32, 32), layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",) * 3, up_block_types=("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=32, attention_head_dim=4,
    ).save_pretrained(folder / "unet")  # fmt: skip
    levels: Any = {
        "block_out_channels": (32, 32, 32),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }
    AutoencoderKL(**levels, latent_channels=4).save_pretrained(folder / "vae")
    extractor = AttentionExtractor(make_section(model=str(folder)))
    assert extractor.model.reduction == 4
    maps = extractor.capture(make_photo(0, 50, 50), "a", ["cat"], make_capture(PAPER))[0]
    assert set(maps.maps) == {(16, 16), (8, 8), (4, 4)}
