"""`~` in every path that params.yaml names; the shell expands it on command lines only at the start of a word."""

import json
import shutil
from pathlib import Path

import pytest

from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.model import load_clip
from refdiff.dataset.prepare import prepare_dataset
from refdiff.diffusion.pipeline_files import identify_pipeline
from refdiff.errors import ParameterError
from refdiff.params import parse_section
from refdiff.paths import expand, expand_clip, expand_local
from refdiff.proposals.file import open_file
from refdiff.proposals.settings import FileSettings
from refdiff.recipe import locate_models
from refdiff.text.clip_tokens import ClipTokenizer
from refdiff.text.unet_tokens import UnetTokenizer
from tests.dataset.folder import make_folder, shipped_settings, split_row

MODELS = Path(__file__).parent / "fixtures" / "parity"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_home_folder_is_expanded_at_the_start_alone(home: Path) -> None:
    assert expand("~/a/~b") == home / "a/~b"
    assert expand(Path("~")) == home
    assert [str(expand(name)) for name in ("a/~", "/~", "owner/name")] == ["a/~", "/~", "owner/name"]
    assert expand_clip("local-dir:~/clip") == f"local-dir:{home}/clip"
    assert [expand_clip(name) for name in ("hf-hub:~/a", "ViT-B-16", "~")] == ["hf-hub:~/a", "ViT-B-16", "~"]
    with pytest.raises(ParameterError, match=r"^~nobody-here/x: no home folder is known"):
        expand("~nobody-here/x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("s3://b/o.png", r"^s3://b/o\.png: is an address; expected a path, as nothing is fetched or sent"),
        (Path("https://x.org/a.png"), r"^https://x\.org/a\.png: is an address"),
        ("out\\o.png", r"out\\o\.png: has a backslash, which separates no folders here; .*; write out/o\.png$"),
        ("", "a path is empty"),
    ],
)
def test_what_is_no_path_here_is_refused(name: str | Path, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        expand_local(name)


def test_models_are_found_below_the_home_folder(home: Path) -> None:
    for name in ("sd", "clip"):
        shutil.copytree(MODELS / name, home / name)
    clip = "local-dir:~/clip"
    assert identify_pipeline("~/sd", None).folder == home / "sd"
    assert UnetTokenizer("~/sd").identity["model"] == "~/sd"
    assert ClipTokenizer(clip).identity["model"] == clip
    assert identify_checkpoint(clip, None).name == clip
    assert load_clip(clip, None, "cpu", "float32").identity.folder == home / "clip"
    located = locate_models({"extract_attention": {"model": "~/sd"}, "embed_clip": {"model": clip}}, Path("/elsewhere"))
    assert located == {
        "extract_attention": {"model": str(home / "sd")},
        "embed_clip": {"model": f"local-dir:{home}/clip"},
    }


@pytest.mark.parametrize("form", ["refer", "jsonl"])
def test_datasets_are_found_below_the_home_folder(form: str, home: Path) -> None:
    folder = make_folder(home / "mini")
    folder.write()
    (folder.root / "val.jsonl").write_text(json.dumps({"image": "photo_1.png", "sentence": "the box"}))
    row = split_row(Path("~/mini"), format=form, split_by=None if form == "jsonl" else "unc")
    paths = prepare_dataset("mini", row, shipped_settings()).images.path
    assert paths
    assert all(Path(path).is_relative_to(home / "mini/images") for path in paths)


def test_a_file_of_masks_is_found_below_the_home_folder(home: Path) -> None:
    (home / "val.json").write_text("[]")
    settings = parse_section(FileSettings, {"kind": "file", "path": "~/{split}.json"}, "sources.mine")
    assert open_file(settings, "val", ["7"]).name == "~/val.json"
