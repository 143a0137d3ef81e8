"""What is told of a CLIP model from its configuration alone, against what open_clip itself says."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import open_clip
import pytest
import torch
from open_clip.factory import _find_checkpoint_in_dir
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file

from refdiff.clip.checkpoint import ENDINGS, FOLDER_WEIGHTS, find_checkpoint
from refdiff.clip.inspection import inspect_clip
from refdiff.clip.open_clip_tables import list_models, list_tags, read_model
from refdiff.clip.plain_vit import ModelConfig, TextConfig, VisionConfig, parse_config
from refdiff.errors import ModelError
from tests.clip.small_model import write_small_clip

COMMIT = "0123456789abcdef0123456789abcdef01234567"
QUICK = "ViT-B-16-quickgelu"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache in the place of the machine's own."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def _cache(cache: Path, repository: str, files: dict[str, Path]) -> None:
    """Files of a repository as the hub's own client lays them out: blobs, and links to them."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    for name in ("blobs", "refs", f"snapshots/{COMMIT}"):
        (folder / name).mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for name, source in files.items():
        shutil.copy(source, folder / "blobs" / name)
        (folder / "snapshots" / COMMIT / name).symlink_to(f"../../blobs/{name}")


@pytest.mark.parametrize(
    ("name", "tag", "tower"),
    [
        ("ViT-B-16-SigLIP", "webli", r"is TimmModel \(vit_base_patch16_siglip_224\)"),
        ("convnext_base_w", "laion2b_s13b_b82k", r"is TimmModel \(convnext_base\)"),
        ("EVA02-B-16", "merged2b_s8b_b131k", r"is TimmModel \(eva02_base_patch16_clip_224\)"),
        ("RN50", "openai", "is ModifiedResNet"),
        ("coca_ViT-B-32", "laion2b_s13b_b90k", "pools by attention"),
        ("ViTamin-B", "datacomp1b", r"is TimmModel \(vitamin_base_224\)"),
    ],
)
def test_a_tower_that_cannot_be_used_is_refused_before_it_is_fetched(
    hub_cache: Path, name: str, tag: str, tower: str
) -> None:
    with pytest.raises(ModelError, match=f"{name} / {tag}: its image tower {tower}; expected a plain ViT"):
        inspect_clip(name, tag)


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"layers": [1, 1, 1, 1]}, "is ModifiedResNet"),
        ({"pool_type": "avg"}, "pools by 'avg'"),
        ({"attentional_pool": True}, "pools by attention"),
        ({"qk_norm": True}, "has blocks of type CustomResidualAttentionBlock"),
        ({"block_type": "custom"}, "has blocks of type CustomResidualAttentionBlock"),
        ({"layers": 0}, "has no blocks"),
        ({"timm_model_name": "convnext_base"}, r"is TimmModel \(convnext_base\)"),
    ],
)
def test_the_configuration_alone_gives_the_reason_that_a_loaded_tower_gives(
    small_clip: Path, tmp_path: Path, vision: dict[str, Any], reason: str
) -> None:
    folder = tmp_path / "other"
    shutil.copytree(small_clip, folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"] |= vision
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=f"other: its image tower {reason}; expected a plain ViT"):
        inspect_clip(f"local-dir:{folder}", None)


def test_facts_of_a_folder(small_clip: Path) -> None:
    facts = inspect_clip(f"local-dir:{small_clip}", None)
    assert facts.files == (small_clip / "model.safetensors",)
    assert facts.bytes == (small_clip / "model.safetensors").stat().st_size


@pytest.mark.parametrize("weights", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_facts_of_a_tag_in_the_hubs_cache(hub_cache: Path, tmp_path: Path, weights: str) -> None:
    save_file({"visual.proj": torch.zeros(2, 2)}, tmp_path / "weights")
    _cache(hub_cache, "timm/vit_base_patch16_clip_224.openai", {weights: tmp_path / "weights"})
    facts = inspect_clip(QUICK, "openai")
    assert (facts.folder.name, [file.name for file in facts.files]) == (COMMIT, [weights])


def test_the_tokenizer_of_another_repository_is_asked_for(hub_cache: Path, small_clip: Path, tmp_path: Path) -> None:
    folder = write_small_clip(tmp_path / "named")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "someone/words"
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    files = {"open_clip_config.json": "open_clip_config.json", "open_clip_model.safetensors": "model.safetensors"}
    _cache(hub_cache, "someone/small", {name: folder / source for name, source in files.items()})
    with pytest.raises(
        ModelError, match=r"someone/words is not on this machine; fetch it with `hf download someone/wo"
    ):
        inspect_clip("hf-hub:someone/small", None)
    _cache(hub_cache, "someone/words", {})
    assert inspect_clip("hf-hub:someone/small", None).files


@pytest.mark.parametrize("count", range(1, len(FOLDER_WEIGHTS) + 1))
def test_of_a_folder_the_file_is_read_that_open_clip_reads(small_clip: Path, tmp_path: Path, count: int) -> None:
    shutil.copy(small_clip / "open_clip_config.json", tmp_path)
    for name in (*FOLDER_WEIGHTS[-count:], *(f"a.{ending}" for ending in ENDINGS)):
        (tmp_path / name).touch()
    found = find_checkpoint(f"local-dir:{tmp_path}", None).weights
    assert str(found) == _find_checkpoint_in_dir(tmp_path)
    for name in FOLDER_WEIGHTS:
        (tmp_path / name).unlink(missing_ok=True)
    found = find_checkpoint(f"local-dir:{tmp_path}", None).weights
    assert str(found) == _find_checkpoint_in_dir(tmp_path)


def test_defaults_are_those_of_open_clip() -> None:
    for mine, theirs in ((VisionConfig, CLIPVisionCfg), (TextConfig, CLIPTextCfg)):
        defaults = {field.name: field.default for field in fields(theirs)}
        assert mine().model_dump() == {name: defaults[name] for name in mine.model_fields}


def test_every_model_of_open_clip_is_read() -> None:
    assert set(list_models()) == set(open_clip.list_models())
    for name in list_models():
        config = open_clip.get_model_config(name)
        assert config is not None
        assert read_model(name) == config
        assert isinstance(parse_config(config, name), ModelConfig)
        assert list_tags(name) == open_clip.list_pretrained_tags_by_model(name)


def test_neither_torch_nor_open_clip_is_imported(small_clip: Path, tmp_path: Path) -> None:
    """In a fresh process, the table of weights included."""
    script = f"""
import sys
from refdiff.clip.inspection import inspect_clip
from refdiff.clip.open_clip_tables import find_tag
from refdiff.errors import ModelError
inspect_clip("local-dir:{small_clip}", None)
try:
    inspect_clip("{QUICK}", "openai")
except ModelError as error:
    print(error)
print(sorted({{"torch", "open_clip", "transformers", "safetensors.torch"}} & set(sys.modules)))
import safetensors.torch
from open_clip.pretrained import get_pretrained_cfg
assert get_pretrained_cfg("{QUICK}", "openai") == find_tag("{QUICK}", "openai")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={"HF_HUB_CACHE": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    message, modules = ended.stdout.splitlines()
    assert "`hf download timm/vit_base_patch16_clip_224.openai --include open_clip_model.safetensors`" in message
    assert modules == "[]"
