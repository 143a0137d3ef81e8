import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers.models.auto.modeling_auto import MODEL_FOR_MASK_GENERATION_MAPPING_NAMES

from refdiff.errors import ModelError
from refdiff.proposals.inspection import FAMILY, inspect_sam
from refdiff.proposals.sam import open_sam
from tests.proposals.rows import sam
from tests.proposals.small_sam import save_small_sam


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_small_sam("sam", folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "sam"))


def test_the_family_is_that_of_transformers() -> None:
    assert set(MODEL_FOR_MASK_GENERATION_MAPPING_NAMES) == FAMILY


def test_a_model_is_inspected_without_torch(folder: Path) -> None:
    code = (
        "import sys; from refdiff.proposals.inspection import inspect_sam; facts = inspect_sam(sys.argv[1], None); "
        "print(facts.bytes, len(facts.files), {'torch', 'transformers'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert said.stdout.strip() == f"{(folder / 'model.safetensors').stat().st_size} 1 set()"


def _shard(folder: Path) -> None:
    from transformers import SamModel

    model = SamModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")


def test_shards_are_found_by_their_index_and_one_that_is_missing_is_named(folder: Path) -> None:
    _shard(folder)
    facts = inspect_sam(str(folder), None)
    assert len(facts.files) > 1
    assert facts.bytes == sum(file.stat().st_size for file in folder.glob("model-*.safetensors"))
    open_sam(sam(model=str(folder)), "cpu").load()
    facts.files[1].unlink()
    with pytest.raises(
        ModelError, match=rf"has no {facts.files[1].name}; expected a mask generator with safetensors weights"
    ):
        inspect_sam(str(folder), None)


def _retype(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "detr"}))


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_retype, "config.json has model_type 'detr'; expected one that generates masks: edgetam, .* name another"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json; complete the folder"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is no JSON"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "has no preprocessor_config.json"),
        (
            lambda folder: (folder / "model.safetensors").unlink(),
            "has no model.safetensors; expected a mask generator .*; complete the folder",
        ),
        (
            _pickle,
            r"has no model.safetensors; only pickled weights are there \(pytorch_model.bin\); .* convert them with",
        ),
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "model.fp16.safetensors"),
            r"only weights of the variant fp16 are there \(model.fp16.safetensors\)",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_text("version https://git-lfs"),
            "a Git LFS pointer; run `git lfs pull`",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\x08" + bytes(20)),
            "is no whole safetensors file",
        ),
    ],
)
def test_what_can_never_propose_masks_is_refused_when_it_is_opened(folder: Path, change, message: str) -> None:
    change(folder)
    with pytest.raises(ModelError, match=message):
        open_sam(sam(model=str(folder)), "cpu")


def test_the_command_fetches_only_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError) as refused:
        inspect_sam("nosuch/sam", "v1")
    command = str(refused.value).split("`")[1]
    assert command == (
        "hf download nosuch/sam --revision v1 --include config.json --include '*processor_config.json' "
        "--include 'model.safetensors*' --include 'model-*-of-?????.safetensors'"
    )


@pytest.mark.parametrize("kind", ["fp16", "bin"])
def test_the_command_that_converts_weights_of_another_kind_makes_a_model_that_is_taken(
    folder: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "bin":
        _pickle(folder)
    else:
        (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    with pytest.raises(ModelError, match="and name models/sam-plain") as refused:
        inspect_sam(str(folder), None)
    monkeypatch.chdir(tmp_path)
    subprocess.run(str(refused.value).split("`")[1], shell=True, check=True)
    open_sam(sam(model="models/sam-plain"), "cpu").load()
