"""A pipeline that can never work is told from its configurations and headers: which, and what to do."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from refdiff.diffusion.inspection import inspect_pipeline
from refdiff.diffusion.latent_size import cross_map_sides
from refdiff.diffusion.layers import trace_layers
from refdiff.errors import ModelError, ParameterError
from tests.diffusion.rows import MODEL

SCHEDULER, UNET, VAE = "scheduler/scheduler_config.json", "unet/config.json", "vae/config.json"
DEMO = Path(__file__).parents[2] / "refdiff" / "demo" / "models" / "sd"
# The configuration of Stable Diffusion 1.5's U-Net, as its file has it.
SD15: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
# Schedulers of Stable Diffusion 1.5 and of 2.1, as their files have them.
PNDM = {
    "_class_name": "PNDMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
DDIM_V = {**PNDM, "_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL, tmp_path / "sd"))


def edit(copy: Path, file: str, **changes: Any) -> str:
    """The model with some values of a JSON file changed; those that are Ellipsis are taken out."""
    content = {**json.loads((copy / file).read_text()), **changes}
    (copy / file).write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    return str(copy)


def test_facts_of_a_whole_pipeline():
    facts = inspect_pipeline(str(DEMO), None)
    assert [file.relative_to(DEMO).parts[0] for file in facts.files] == ["unet", "vae", "text_encoder"]
    assert facts.bytes == sum(path.stat().st_size for path in DEMO.rglob("*.safetensors"))
    assert (facts.folder, facts.native_px, facts.train_timesteps) == (DEMO, 64, 1000)


def test_an_inspection_imports_no_model_library():
    code = (
        "import sys; from refdiff.diffusion.inspection import inspect_pipeline; "
        f"inspect_pipeline({str(DEMO)!r}, None).map_sides(64); "
        "sys.exit(bool({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("unet", "latent_px"),
    [
        *((SD15, side) for side in (64, 128, 8, 20, 5)),
        *((json.loads((folder / "unet/config.json").read_text()), 16) for folder in (DEMO, MODEL)),
        ({**SD15, "layers_per_block": [1, 2, 3, 1], "transformer_layers_per_block": [1, 2, 1, 2]}, 64),
        ({**SD15, "downsample_padding": 0}, 20),
        ({**SD15, "downsample_padding": 0, "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3}, 21),
    ],
)
def test_map_sides_are_those_of_the_architecture(unet: dict[str, Any], latent_px: int):
    slim = {**unet, "block_out_channels": [32] * len(unet["block_out_channels"]), "attention_head_dim": 8}
    slim["norm_num_groups"] = 16
    layers = trace_layers(slim, latent_px)
    traced = {layer.name: layer.side for layer in layers if layer.kind == "cross"}
    assert list(cross_map_sides(slim, latent_px).items()) == list(traced.items())
    # What self_layers may name is told from these names.
    assert [name.replace("attn2", "attn1") for name in traced] == [one.name for one in layers if one.kind == "self"]


def test_a_canvas_far_from_the_models_own_gets_a_word():
    facts = inspect_pipeline(str(DEMO), None)
    assert [px for px in (28, 32, 64, 128, 132) if facts.warn_of_canvas(px)] == [28, 132]
    assert "canvas_px 512 is far from the 64 px" in str(facts.warn_of_canvas(512))
    with pytest.raises(ParameterError, match="canvas_px: 30 is not a multiple of 4"):
        facts.map_sides(30)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (
            {"_class_name": "StableDiffusionXLPipeline"},
            r"is a StableDiffusionXLPipeline .*SDXL is not handled",
        ),
        ({"text_encoder_2": ["transformers", "CLIPTextModel"]}, "more than one text encoder"),
        (
            {
                "_class_name": "StableDiffusion3Pipeline",
                "unet": ...,
                "transformer": ["diffusers", "SD3Transformer2DModel"],
            },
            "is a StableDiffusion3Pipeline with a SD3Transformer2DModel and no unet; expected a U-Net",
        ),
        (
            {"_class_name": "PixArtAlphaPipeline", "unet": ..., "text_encoder": ["transformers", "T5EncoderModel"]},
            "is a PixArtAlphaPipeline whose text_encoder is T5EncoderModel; expected CLIPTextModel",
        ),
        ({"_class_name": "KandinskyPipeline", "vae": [None, None]}, "KandinskyPipeline whose vae is not there"),
        ({"vae": ["diffusers", "AutoencoderTiny"]}, "whose vae is AutoencoderTiny; expected AutoencoderKL"),
    ],
)
def test_other_pipelines_are_told_from_their_index(copy: Path, index: dict[str, Any], message: str):
    model = edit(copy, "model_index.json", **index)
    shutil.rmtree(copy / "unet")  # it is not for the want of files
    with pytest.raises(ModelError, match=message) as refusal:
        inspect_pipeline(model, None)
    assert "hf download" not in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "unet/config.json",
            {"in_channels": 9},
            r"takes 9 channels and its VAE gives 4 \(inpainting models are",
        ),
        (UNET, {"in_channels": 5}, "depth models are not handled"),
        (UNET, {"addition_embed_type": "text_time"}, "more than one text encoder gives"),
        (UNET, {"cross_attention_dim": 7}, "reads text of 7 channels .* mixes two models"),
        (UNET, {"cross_attention_dim": ...}, "configuration of its unet has no cross_attention_dim"),
        (UNET, {"_class_name": "UNet3DConditionModel"}, "its unet is a UNet3DConditionModel"),
        (
            "unet/config.json",
            {"mid_block_type": "UNetMidBlock2DSimpleCrossAttn"},
            "UNetMidBlock2DSimpleCrossAttn, which",
        ),
        (
            "unet/config.json",
            {"dual_cross_attention": True},
            "its U-Net has dual_cross_attention, which is not handled",
        ),
        (VAE, {"_class_name": "AutoencoderTiny"}, "its vae is a AutoencoderTiny; expected AutoencoderKL"),
        (SCHEDULER, {"_class_name": "FlowMatchEulerDiscreteScheduler"}, "of flow matching"),
        (SCHEDULER, {"prediction_type": "flow_prediction"}, "of flow matching"),
        (SCHEDULER, {"use_flow_sigmas": True}, "of flow matching"),
        (SCHEDULER, {"prediction_type": "velocity"}, "predicts 'velocity'; expected epsilon"),
        (SCHEDULER, {"beta_start": ...}, "configuration of its scheduler has no beta_start"),
        (
            SCHEDULER,
            {"num_train_timesteps": 0},
            "num_train_timesteps 0; expected a whole number",
        ),
        (SCHEDULER, {"beta_end": "0.012"}, r"beta_end '0.012'; expected a number in \(0, 1\)"),
        (
            SCHEDULER,
            {"beta_schedule": "sigmoid"},
            "beta_schedule 'sigmoid'; expected one of linear",
        ),
    ],
)
def test_other_parts_are_told_from_their_configurations(copy: Path, file: str, changes: dict[str, Any], message: str):
    with pytest.raises(ModelError, match=message):
        inspect_pipeline(edit(copy, file, **changes), None)


@pytest.mark.parametrize(
    "file", ["scheduler/scheduler_config.json", "unet/config.json", "vae/config.json", "text_encoder/config.json"]
)
def test_an_empty_configuration_is_not_one_of_defaults(copy: Path, file: str):
    (copy / file).write_text("{}")
    with pytest.raises(ModelError, match=f"the configuration of its {Path(file).parent} has no "):
        inspect_pipeline(str(copy), None)


@pytest.mark.parametrize("scheduler", [PNDM, DDIM_V])
def test_schedulers_of_released_models_are_taken(copy: Path, scheduler: dict[str, Any]):
    (copy / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    inspect_pipeline(str(copy), None)


def test_files_that_are_missing_are_all_named(copy: Path):
    for file in ("unet/config.json", "tokenizer/vocab.json", "vae/diffusion_pytorch_model.safetensors"):
        (copy / file).unlink()
    message = r"has no unet/config\.json, no tokenizer/vocab\.json, no vae/diff\S+;.*complete the folder"
    with pytest.raises(ModelError, match=message):
        inspect_pipeline(str(copy), None)


def test_a_shard_that_is_missing_is_named(copy: Path):
    index = {"weight_map": {"a": "diffusion_pytorch_model-00001-of-00002.safetensors"}}
    (copy / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"has no unet/diffusion_pytorch_model-00001-of-00002\.safetensors"):
        inspect_pipeline(str(copy), None)


@pytest.mark.parametrize("kind", ["fp16", "bin"])
def test_weights_of_another_kind_are_said_and_how_they_are_converted(
    copy: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The command in the message is run, and what it makes is taken."""
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

    other = tmp_path / "other"
    pipeline = StableDiffusionPipeline.from_pretrained(copy, safety_checker=None)
    kinds: dict[str, Any] = {"fp16": {"variant": "fp16"}, "bin": {"safe_serialization": False}}
    pipeline.save_pretrained(other, **kinds[kind])
    if kind == "bin":  # today's transformers writes none
        (other / "text_encoder" / "model.safetensors").unlink()
        torch.save(pipeline.text_encoder.state_dict(), other / "text_encoder" / "pytorch_model.bin")
    said = {"fp16": "only weights of the variant fp16 are there", "bin": "only pickled weights are there"}[kind]
    with pytest.raises(ModelError, match=rf"has no unet/.*{said} \(unet/.* and name models/other-plain") as refusal:
        inspect_pipeline(str(other), None)
    monkeypatch.chdir(tmp_path)
    subprocess.run(str(refusal.value).split("`")[1], shell=True, check=True)
    assert inspect_pipeline("models/other-plain", None).files


def test_what_else_is_missing_comes_before_a_conversion(copy: Path):
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".fp16.safetensors"))
    (copy / "vae" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"has no vae/config.*complete the folder, then convert them"):
        inspect_pipeline(str(copy), None)


def test_a_folder_around_a_pipeline_and_a_single_file(copy: Path, tmp_path: Path):
    with pytest.raises(ModelError, match=r"has no model_index\.json; .*/sd is one: name that"):
        inspect_pipeline(str(tmp_path), None)
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "v1-5.safetensors").touch()
    with pytest.raises(ModelError, match=r"make one of v1-5\.safetensors with `.*from_single_file"):
        inspect_pipeline(str(tmp_path / "one"), None)


def test_a_download_that_ended_early_is_named_with_a_command_that_replaces_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    commit = "0" * 40
    hub = tmp_path / "models--owner--name"
    snapshot = Path(shutil.copytree(MODEL, hub / "snapshots" / commit))
    (hub / "refs").mkdir()
    (hub / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert inspect_pipeline("owner/name", None).folder == snapshot
    weights = snapshot / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    command = "`hf download owner/name --include unet/diffusion_pytorch_model.safetensors --force-download`$"
    with pytest.raises(ModelError, match=rf"its unet cannot be loaded: .*is no whole safetensors file.*{command}"):
        inspect_pipeline("owner/name", None)
    (snapshot / "model_index.json").write_text("{")
    with pytest.raises(
        ModelError, match=r"model_index.json is no JSON .*--include model_index.json --force-download`$"
    ):
        inspect_pipeline("owner/name", None)
