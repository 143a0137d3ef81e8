"""What is said of models before anything is computed, by configurations alone."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from refdiff.checking.models import COMPUTING, READING, ModelFindings, check_models
from refdiff.checking.project import check_project
from refdiff.demo.models import DIFFUSION
from refdiff.layout import SplitLayout
from refdiff.params import read_params
from tests.checking.small_change import ROOT, changed
from tests.proposals.rows import SAM

STAGES = (*READING, *COMPUTING)
ABSENT = {"embed_clip.model": "hf-hub:nobody/has-this"}
NOT_HERE = "embed_clip.model: hf-hub:nobody/has-this: model nobody/has-this: neither a folder nor in the hub's cache"


@pytest.fixture(autouse=True)
def empty_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def look(changes: Mapping[str, object], stage: str = "parse_text", is_part: bool = False) -> ModelFindings:
    return check_models(check_project(changed(changes)), stage, is_part)


@pytest.mark.parametrize("stage", STAGES)
def test_the_demo_is_right(stage: str) -> None:
    found = look({}, stage)
    assert (found.problems, found.absent, found.warnings) == ([], [], [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"captures.paper.cross_layers": {"map_px": [5]}, "readouts.paper.layers": "all"},
            "captures.paper.cross_layers.map_px: the model at canvas_px 64 has no maps of side 5; expected some of: 4",
        ),
        (
            {"readouts.paper.layers": {"map_px": [8, 32]}},
            "readouts.paper.layers.map_px: capture 'paper' has no maps of side 32; expected some of: 4, 8, 16",
        ),
        (
            {"captures.paper.cross_layers": {"map_px": [8, 16]}, "readouts.paper.layers": ["mid_block.attn"]},
            "readouts.paper.layers: capture 'paper' has no layer 'mid_block.attn'; expected some of: down_blocks.",
        ),
        (
            {"captures.released.cross_layers": ["attn9"]},
            "captures.released.cross_layers: the model at canvas_px 64 has no layer 'attn9'; expected some of: down_",
        ),
        (
            {"captures.paper.self_layers": ["mid_block.attn"]},
            "captures.paper.self_layers: the model has no layer 'mid_block.attn'; expected some of: down_blocks.",
        ),
        (
            {"captures.paper.canvas_px": 66},
            "captures.paper.canvas_px: 66 is not a multiple of 4, the reduction of the model's VAE; use 64 or 68",
        ),
        ({"captures.paper.schedule.timesteps": [1000]}, "captures.paper.schedule.timesteps: 1000 is beyond the model;"),
        ({"embed_clip.model": "RN50", "embed_clip.pretrained": "openai"}, "embed_clip.model: RN50 / openai: "),
        ({"embed_clip.model": "ViT-B-17"}, "embed_clip.model: ViT-B-17: open_clip has no such model"),
    ],
)
@pytest.mark.parametrize("stage", STAGES)
def test_what_can_never_work_is_refused_by_the_first_stage(
    changes: Mapping[str, object], message: str, stage: str
) -> None:
    (problem,) = look(changes, stage).problems
    assert problem.startswith(message)


def test_a_model_that_is_not_here_is_a_warning_before_models_and_an_end_at_the_first_of_them() -> None:
    found = look(ABSENT, "prepare_dataset")
    assert not found.problems
    assert any(line.startswith(NOT_HERE) for line in found.warnings_for("prepare_dataset"))
    for stage in COMPUTING:
        (problem,) = look(ABSENT, stage).problems
        assert problem.startswith(NOT_HERE)
        assert problem.endswith("; or remove the rows that need it")


def test_a_file_of_masks_that_is_not_there_is_told_before_hours_of_other_stages(empty_project: Path) -> None:
    mine = {"sources": {"mine": {"kind": "file", "path": "masks/{split}.json"}}}
    mine |= {f"methods.{name}.proposals": "mine" for name in ("gs", "ds", "ref-diff-plus", "released")}
    line = "sources.mine.path: masks/demo_val.json is not there; expected masks as JSON"
    assert any(text.startswith(line) for text in look(mine, "prepare_dataset").warnings_for("prepare_dataset"))
    (problem,) = look(mine, "parse_text").problems
    assert problem.startswith(line)
    (empty_project / "masks").mkdir()
    (empty_project / "masks/demo_val.json").write_text("[]", encoding="utf-8")
    assert look(mine, "parse_text") == look({}, "parse_text")


def test_a_part_and_what_was_pulled_need_no_model_of_others(empty_project: Path) -> None:
    assert look(ABSENT, "extract_attention", is_part=True).problems == []
    SplitLayout("demo_val", empty_project).clip("regions").mkdir(parents=True)
    assert look(ABSENT, "extract_attention").problems == []


def test_only_models_that_rows_use_are_asked_for() -> None:
    gone = {"sources": {}, "methods": {"weak": changed({})["methods"]["ref-diff"]}}
    assert look({**ABSENT, **gone}).problems == []
    (problem,) = look({"sources.sam": {**SAM, "model": "models/sam"}}).problems
    assert problem.startswith("sources.sam.model: model models/sam: neither a folder nor in the hub's cache")


def test_settings_of_the_demo_beside_a_real_model_are_warned_of(empty_project: Path) -> None:
    shutil.copytree(DIFFUSION, empty_project / "real")
    found = look({"extract_attention.model": "real", "captures.released.canvas_px": 512})
    assert not found.problems
    *others, (stage, canvas) = found.warnings
    assert [(about, text.partition(":")[0]) for about, text in others] == [
        ("embed_clip", "embed_clip.model"),
        ("extract_attention", "splits.demo_val"),
        ("propose_masks", "sources.regions"),
    ]
    assert stage == "extract_attention"
    assert canvas.startswith("captures.released.canvas_px 512 is far from the 64 px")
    assert len(found.warnings_for("prepare_dataset")) == len(found.warnings_for("parse_text")) == 4
    assert [text.partition(":")[0] for text in found.warnings_for("propose_masks")] == ["sources.regions"]


def test_a_readout_that_is_not_read_is_warned_of() -> None:
    (warning,) = look({"methods.ds.readout": "paper"}).warnings
    assert warning == ("fuse_scores", "methods.ds.readout: paper is not read, as generative_weight is 0")


@pytest.mark.parametrize("preset", ["paper", "released", "light"])
def test_presets_of_photos_have_no_settings_of_the_demo(preset: str) -> None:
    params = read_params(ROOT / f"refdiff/presets/{preset}.yaml")
    if not params["splits"]:
        params["splits"] = {"own": changed({})["splits"]["demo_val"] | {"folder": "data/own"}}
    found = check_models(check_project(params), "prepare_dataset", is_part=False)
    assert [text for _, text in found.warnings if "demo" in text or "far from" in text] == []
