from pathlib import Path
from typing import Any

import pytest

from refdiff.errors import ParameterError
from refdiff.params import read_params
from refdiff.recipe import locate_models, read_recipe

ROOT = Path(__file__).parents[1]


@pytest.fixture
def params() -> dict[str, Any]:
    return read_params(ROOT / "refdiff/presets/demo.yaml")


def test_a_method_has_what_it_needs_and_no_more(params: dict[str, Any]) -> None:
    both = read_recipe(params, "ref-diff-plus")
    assert set(both.readouts) == {"paper"}
    assert set(both.captures) == {"paper"}
    assert both.extraction is not None
    assert both.clip is not None
    clip = read_recipe(params, "ds")
    assert (dict(clip.readouts), dict(clip.captures), clip.extraction) == ({}, {}, None)
    assert read_recipe(params, "gs").clip is None
    assert read_recipe(params, "ref-diff").source.kind == "threshold"


def test_a_heat_source_may_have_a_readout_of_its_own(params: dict[str, Any]) -> None:
    params["heat_sources"]["weak"]["readout"] = "released"
    recipe = read_recipe(params, "ref-diff")
    assert set(recipe.readouts) == set(recipe.captures) == {"paper", "released"}


def test_sections_that_a_method_does_not_need_may_be_wrong(params: dict[str, Any]) -> None:
    params["extract_attention"]["device"] = 3
    read_recipe(params, "ds")
    with pytest.raises(ParameterError, match=r"extract_attention\.device"):
        read_recipe(params, "gs")


def test_what_is_not_there_is_named(params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="methods: no entry 'mine'; expected one of: ref-diff, gs"):
        read_recipe(params, "mine")
    params["methods"]["gs"]["readout"] = "mine"
    with pytest.raises(ParameterError, match="readouts: no entry 'mine'"):
        read_recipe(params, "gs")
    params["methods"]["ds"]["proposals"] = "sam"
    with pytest.raises(ParameterError, match=r"methods\.ds\.proposals: no source 'sam'; expected one of: regions"):
        read_recipe(params, "ds")


def test_masks_of_a_dataset_are_not_for_a_photo_alone(params: dict[str, Any]) -> None:
    params["sources"]["oracle"] = {"kind": "truth"}
    params["methods"]["ds"]["proposals"] = "oracle"
    with pytest.raises(ParameterError, match="'oracle' is of kind truth, whose masks belong to the photos of a"):
        read_recipe(params, "ds")


def test_folders_of_models_are_found_from_the_files_own_place(tmp_path: Path) -> None:
    (tmp_path / "models/sd").mkdir(parents=True)
    params = {
        "extract_attention": {"model": "models/sd", "seed": 0},
        "embed_clip": {"model": "local-dir:models/sd"},
        "sources": {"sam": {"kind": "sam", "model": "models/sd"}, "regions": {"kind": "regions"}},
        "other": {"model": "models/sd"},
    }
    found = locate_models(params, tmp_path)
    assert found["extract_attention"] == {"model": str(tmp_path / "models/sd"), "seed": 0}
    assert found["embed_clip"] == {"model": f"local-dir:{tmp_path}/models/sd"}
    assert found["sources"]["sam"]["model"] == str(tmp_path / "models/sd")
    assert found["other"] == {"model": "models/sd"}
    assert params["extract_attention"] == {"model": "models/sd", "seed": 0}, "not changed in place"
    assert locate_models({"embed_clip": {"model": "ViT-B-16"}}, tmp_path) == {"embed_clip": {"model": "ViT-B-16"}}
    assert locate_models({"extract_attention": 3}, tmp_path) == {"extract_attention": 3}
