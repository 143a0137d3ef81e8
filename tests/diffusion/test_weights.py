"""Weights: exactly those of the configuration, all finite, or refused by name before anything is computed."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.errors import ModelError
from refdiff.finite import precision_advice
from tests.diffusion.rows import MODEL, PAPER, make_capture, make_photo, make_section

TEXT, UNET, VAE = (
    f"{part}/{stem}.safetensors"
    for part, stem in (
        ("text_encoder", "model"),
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
    )
)
Weights = dict[str, np.ndarray]
Edit = Callable[[Weights], Weights]


def rewrite(tmp_path: Path, file: str, edit: Edit) -> str:
    """A copy of the model with one file's weights edited."""
    copy = Path(shutil.copytree(MODEL, tmp_path / "sd"))
    save_file(edit(load_file(copy / file)), copy / file, metadata={"format": "pt"})
    return str(copy)


def drop(end: str) -> Edit:
    return lambda weights: {key: value for key, value in weights.items() if not key.endswith(end)}


def under(prefix: str) -> Edit:
    return lambda weights: {prefix + key: value for key, value in weights.items()}


def fill(key: str, value: float) -> Edit:
    return lambda weights: {**weights, key: np.full_like(weights[key], value)}


def add(**more: np.ndarray) -> Edit:
    return lambda weights: {**weights, **more}


def twice(weights: Weights) -> Weights:
    plain = {key.removeprefix("text_model."): value for key, value in weights.items()}
    return {**plain, **{f"text_model.{key}": value + 1 for key, value in plain.items()}}


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        (TEXT, drop("final_layer_norm.weight"), r"text_encoder: 1 weights are not in its file.* \(.*final_layer_norm"),
        (TEXT, drop("token_embedding.weight"), r"text_encoder: 1 weights are not in its file"),
        (TEXT, under("cond_stage_model.transformer."), r"text_encoder: \d+ weights are not in its file.* \.\.\.\)"),
        (TEXT, add(more=np.zeros(2, np.float32)), r"text_encoder: 1 weights of its file have no place in it \(more\)"),
        (UNET, drop("mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight"), r"its unet: 1 .*attn2\.to_k"),
        (UNET, under("model."), r"its unet: \d+ weights are not in its file"),
        (
            UNET,
            add(**{"conv_in.bias": np.zeros(3, np.float32)}),
            r"1 weights have another shape in its file \(conv_in\.bias\)",
        ),
        (VAE, drop("quant_conv.bias"), r"its vae: \d weights are not in its file.* \(.*quant_conv\.bias"),
        (VAE, add(more=np.zeros(2, np.float32)), r"its vae: 1 weights of its file have no place"),
        (TEXT, twice, r"its text_encoder has \d+ weights twice, with and without the prefix text_model\."),
        (TEXT, add(more=np.zeros(2, np.int8)), "holds numbers of type I8; expected F64, F32, F16, BF16"),
        (
            UNET,
            fill("conv_in.bias", np.nan),
            r"its unet: its weights hold NaN or infinity \(conv_in\.bias\); .*in float32 the model itself",
        ),
        (VAE, fill("quant_conv.bias", np.inf), r"its vae: its weights hold NaN or infinity \(quant_conv\.bias\)"),
        (
            VAE,
            fill("encoder.conv_in.bias", -np.inf),
            r"its vae: its weights hold NaN or infinity \(encoder\.conv_in\.bias\)",
        ),
    ],
)
def test_other_weights_are_refused_by_name(tmp_path: Path, file: str, edit: Edit, message: str):
    with pytest.raises(ModelError, match=message):
        AttentionExtractor(make_section(model=rewrite(tmp_path, file, edit)))


def as_in_old_files(weights: Weights) -> Weights:
    """As the hub's SD 1.5 has its text encoder: under a prefix that the library knows, and with positions."""
    names = {key if key.startswith("text_model.") else f"text_model.{key}": value for key, value in weights.items()}
    return {**names, "text_model.embeddings.position_ids": np.arange(77)[None]}


def as_in_old_vaes(weights: Weights) -> Weights:
    """As the hub's SD 1.5 has its VAE: attention under names that the library renames."""
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    made = dict(weights)
    for new, old in renamed.items():
        made = {key.replace(f".{new}.", f".{old}."): value for key, value in made.items()}
    return made


@pytest.mark.parametrize(("file", "edit"), [(TEXT, as_in_old_files), (VAE, as_in_old_vaes)])
def test_names_of_old_files_are_known(tmp_path: Path, file: str, edit: Edit):
    """And nothing else comes of them."""
    photo, capture = make_photo(0, 40, 60), make_capture(PAPER)
    maps = [
        AttentionExtractor(make_section(model=model)).capture(photo, "a", ["a cat"], capture)[0].maps
        for model in (str(MODEL), rewrite(tmp_path, file, edit))
    ]
    assert _equal(*maps)


def _equal(one: Mapping, other: Mapping) -> bool:
    return all(np.array_equal(one[size], other[size]) for size in one.keys() | other.keys())


def test_shards_are_read_as_one_file(tmp_path: Path):
    copy = Path(shutil.copytree(MODEL, tmp_path / "sd"))
    weights = load_file(copy / UNET)
    (copy / UNET).unlink()
    names = [f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    halves = [{key: value for key, value in weights.items() if len(key) % 2 == half} for half in (0, 1)]
    for name, half in zip(names, halves, strict=True):
        save_file(half, copy / "unet" / name, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {key: names[len(key) % 2] for key in weights}}
    (copy / f"{UNET}.index.json").write_text(json.dumps(index))
    loaded = AttentionExtractor(make_section(model=str(copy))).model.unet
    assert torch.equal(loaded.conv_in.weight, torch.from_numpy(weights["conv_in.weight"]))


def test_float32_is_never_blamed():
    assert "use dtype bfloat16 or float32" in precision_advice(torch.float16)
    assert "dtype" not in precision_advice(torch.float32) + precision_advice(torch.bfloat16)


def test_a_latent_that_is_not_finite_is_refused():
    extractor = AttentionExtractor(make_section())
    next(extractor.model.vae.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="image a: its latent is not finite; in float32 the model itself is broken"):
        extractor.encode_photo(make_photo(0, 40, 60), "a", make_capture(PAPER))
