"""Which models are loaded and which refused; no test reaches the network."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from refdiff.clip import checkpoint
from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.model import load_clip
from refdiff.errors import ModelError, ParameterError
from tests.clip.small_model import PREPROCESSING, write_small_clip


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache in the place of the machine's own."""
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_a_folder_is_loaded_with_its_own_preprocessing(small_clip: Path) -> None:
    model = load_clip(f"local-dir:{small_clip}", None, "cpu", "float32")
    assert list(model.mean) == PREPROCESSING["mean"]
    assert list(model.std) == PREPROCESSING["std"]
    assert (model.tower.image_px, model.tower.patch_px, model.tower.dim) == (32, 8, 24)
    assert not model.network.training


def test_identity_follows_the_weights(small_clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small_clip, copy)
    same = identify_checkpoint(f"local-dir:{copy}", None)
    assert same.digest == identify_checkpoint(f"local-dir:{small_clip}", None).digest
    weights = load_file(copy / "model.safetensors")
    weights["logit_scale"] += 1
    save_file(weights, copy / "model.safetensors")
    assert identify_checkpoint(f"local-dir:{copy}", None).digest != same.digest


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: no such folder; expected one with open_clip_config.json"):
        load_clip(f"local-dir:{tmp_path / 'nowhere'}", None, "cpu", "float32")


def test_a_folder_without_configuration_or_weights_is_refused(small_clip: Path, tmp_path: Path) -> None:
    shutil.copy(small_clip / "model.safetensors", tmp_path)
    with pytest.raises(ModelError, match=r"has no open_clip_config.json"):
        load_clip(f"local-dir:{tmp_path}", None, "cpu", "float32")
    (tmp_path / "model.safetensors").unlink()
    shutil.copy(small_clip / "open_clip_config.json", tmp_path)
    with pytest.raises(ModelError, match=r"has no weights; expected a .safetensors file"):
        load_clip(f"local-dir:{tmp_path}", None, "cpu", "float32")


def test_weights_that_do_not_fit_are_refused_in_one_line(small_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(small_clip, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["visual.proj"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"cannot be loaded .*expected weights that fit") as caught:
        load_clip(f"local-dir:{folder}", None, "cpu", "float32")
    assert "\n" not in str(caught.value)


def test_truncated_weights_are_refused(small_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(small_clip, folder)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model.safetensors: is no whole safetensors file.*copy or fetch it again"):
        load_clip(f"local-dir:{folder}", None, "cpu", "float32")


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"layers": [1, 1, 1, 1], "width": 8, "head_width": 8}, "image tower is ModifiedResNet"),
        ({"pool_type": "avg"}, "image tower pools by 'avg'"),
        ({"attentional_pool": True, "attn_pooler_heads": 2}, "image tower pools by attention"),
        ({"qk_norm": True}, "image tower has blocks of type CustomResidualAttentionBlock"),
    ],
)
def test_other_towers_are_refused_by_name(tmp_path: Path, vision: dict[str, Any], reason: str) -> None:
    folder = write_small_clip(tmp_path / "other", vision)
    with pytest.raises(ModelError, match=f"{reason}; expected a plain ViT .*class token"):
        load_clip(f"local-dir:{folder}", None, "cpu", "float32")


def test_a_tag_that_is_not_cached_names_the_command(hub_cache: Path) -> None:
    command = "`hf download timm/vit_base_patch16_clip_224.openai --include open_clip_model.safetensors`"
    with pytest.raises(ModelError, match=f"ViT-B-16-quickgelu / openai: .* fetch it with {command}"):
        load_clip("ViT-B-16-quickgelu", "openai", "cpu", "float32")
    assert list(hub_cache.iterdir()) == []


def test_a_hub_model_in_the_cache_is_loaded_and_one_that_is_not_is_refused(small_clip: Path, hub_cache: Path) -> None:
    command = "`hf download someone/small --include open_clip_config.json --include open_clip_model.safetensors`"
    with pytest.raises(ModelError, match=f"fetch it with {command}"):
        load_clip("hf-hub:someone/small", None, "cpu", "float32")
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = hub_cache / "models--someone--small"
    snapshot = repository / "snapshots" / commit
    shutil.copytree(small_clip, snapshot)
    (snapshot / "model.safetensors").rename(snapshot / "open_clip_model.safetensors")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    model = load_clip("hf-hub:someone/small", None, "cpu", "float32")
    assert model.identity.digest == f"commit:{commit}"
    assert model.tower.patch_px == 8


def test_a_cached_hub_model_without_weights_is_refused(small_clip: Path, hub_cache: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = hub_cache / "models--someone--half"
    (repository / "snapshots" / commit).mkdir(parents=True)
    shutil.copy(small_clip / "open_clip_config.json", repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    with pytest.raises(
        ModelError, match=r"someone/half is here in part only; .*--include open_clip_model.safetensors`"
    ):
        load_clip("hf-hub:someone/half", None, "cpu", "float32")


def test_the_hub_may_be_asked_again_afterwards(small_clip: Path) -> None:
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    load_clip(f"local-dir:{small_clip}", None, "cpu", "float32")
    assert before == huggingface_hub.constants.HF_HUB_OFFLINE


def test_quick_gelu_weights_are_not_given_to_a_gelu_model() -> None:
    with pytest.raises(ModelError, match=r"trained with QuickGELU, but the model has GELU; use ViT-B-16-quickgelu"):
        identify_checkpoint("ViT-B-16", "openai")


def test_gelu_weights_are_not_given_to_a_quick_gelu_model(monkeypatch: pytest.MonkeyPatch) -> None:
    # open_clip 3.3 lists no such pair; another version may.
    monkeypatch.setattr(checkpoint, "find_tag", lambda *_: {"hf_hub": "someone/some/"})
    with pytest.raises(ModelError, match=r"trained with GELU, but the model has QuickGELU; use ViT-B-32$"):
        identify_checkpoint("ViT-B-32-quickgelu", "new")


def test_weights_that_are_not_on_the_hub_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "find_tag", lambda *_: {"url": "https://example.org/w.pt"})
    with pytest.raises(ModelError, match=r"not on the hub; download https://example.org/w.pt and name the file"):
        identify_checkpoint("ViT-B-32", "new")


@pytest.mark.parametrize(
    ("name", "pretrained", "message"),
    [
        ("ViT-B-16-quickglu", "openai", r"open_clip has no such model; .*; did you mean 'ViT-B-16-quickgelu'\?"),
        ("ViT-B-16-quickgelu", "nonsense", "no such file and no such tag; expected one of: .*openai"),
        ("ViT-B-16", None, "no weights named; expected a weights file or one of its tags"),
        ("hf-hub:someone/small", "openai", "hf-hub models carry their own weights; set pretrained to null"),
        ("local-dir:here", "openai", "local-dir models carry their own weights; set pretrained to null"),
    ],
)
def test_names_are_checked_before_anything_is_loaded(name: str, pretrained: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        identify_checkpoint(name, pretrained)


def test_a_weights_file_of_a_known_model_is_identified_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"one")
    first = identify_checkpoint("ViT-B-16", str(file)).digest
    file.write_bytes(b"two")
    assert identify_checkpoint("ViT-B-16", str(file)).digest != first


def test_a_device_that_is_not_there_is_refused(small_clip: Path) -> None:
    with pytest.raises(ModelError, match=r"device cuda:99: not there"):
        load_clip(f"local-dir:{small_clip}", None, "cuda:99", "float32")


def test_half_precision_on_the_cpu_is_refused(small_clip: Path) -> None:
    with pytest.raises(ParameterError, match=r"embed_clip.dtype: .*expected bfloat16 or float32 on a CPU"):
        load_clip(f"local-dir:{small_clip}", None, "cpu", "float16")
    assert load_clip(f"local-dir:{small_clip}", None, "cpu", "bfloat16").dtype == torch.bfloat16


def test_a_configuration_that_is_no_json_is_refused(small_clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(small_clip, folder)
    (folder / "open_clip_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"odd: open_clip_config.json cannot be read"):
        load_clip(f"local-dir:{folder}", None, "cpu", "float32")
    (folder / "open_clip_config.json").write_text(json.dumps({}))
    with pytest.raises(ModelError, match=r"is none of an open_clip model \(embed_dim: Field required\)"):
        load_clip(f"local-dir:{folder}", None, "cpu", "float32")
