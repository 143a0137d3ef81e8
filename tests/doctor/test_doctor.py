import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import yaml

from refdiff import cli
from refdiff.doctor import machine
from refdiff.presets.table import PRESETS
from tests.dataset.folder import make_folder
from tests.hub_models import CLIP, SD, fill_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    fill_hub(root / "cache", root / "scratch", can_run=False)
    return root / "cache"


@pytest.fixture
def project(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml of the preset paper for a miniature RefCOCO that is all there."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.chdir(tmp_path)
    make_folder(Path("data/refcoco")).write()
    _edit(lambda _: None)
    return tmp_path


def _edit(change: Callable[[dict[str, Any]], object]) -> None:
    params = yaml.safe_load(PRESETS["paper"].path.read_text())
    params["splits"]["refcoco_val"] |= {"images": "data/refcoco/images", "benchmark": None}
    change(params)
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def _ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["refdiff", "doctor", *words])
    code = 0
    try:
        cli.main()
    except SystemExit as ending:
        code = int(ending.code or 0)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) <= 60
    return code, re.sub(r"\s+", " ", printed)


def test_all_is_there(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = _ask(monkeypatch, capsys)
    assert code == 0, text
    assert not {"MISSING", "WRONG"} & set(text.split())
    for said in (
        "all is there",
        "2 photos, 3 objects, 4 sentences",
        "150 million weights in 299 MB",
        SD,
        "facebook/sam-vit-huge",
    ):
        assert said in text
    assert re.search(r"refcoco_val 2 4 .* [kM]B", text)


def _drop(name: str) -> Callable[[Path], object]:
    return lambda project: (project / name).unlink()


def _set(section: str, key: str, value: object) -> Callable[[Path], object]:
    return lambda _: _edit(lambda params: params[section].update({key: value}))


def _name_benchmark(_: Path) -> None:
    _edit(lambda params: params["splits"]["refcoco_val"].update({"benchmark": "RefCOCO val"}))


FAULTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "a photo": (_drop("data/refcoco/images/photo_2.png"), ["1 of 2 photos are not there", "photo_2.png"]),
    "annotations": (_drop("data/refcoco/refs(unc).p"), ["has no refs(unc).p"]),
    "a model": (
        _set("extract_attention", "model", "owner/other"),
        ["model owner/other: neither a folder", "$ hf download owner/other --include model_index.json"],
    ),
    "a revision": (_set("extract_attention", "revision", "fp16"), [f"$ hf download {SD} --revision fp16 --include"]),
    "a device": (_set("embed_clip", "device", "cuda:7"), ["device cuda:7"]),
    "a late section": (_set("render_report", "seed", -1), ["render_report.seed"]),
    "map sizes": (
        lambda _: _edit(lambda params: params["captures"]["paper"].update({"cross_layers": {"map_px": [48]}})),
        ["captures.paper.cross_layers", "48", "8, 16, 32, 64"],
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_is_missing_is_named_with_what_brings_it(
    what: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harm, said = FAULTS[what]
    harm(project)
    code, text = _ask(monkeypatch, capsys)
    assert code == 2, text
    for words in said:
        assert words in text


def test_a_fresh_machine_gets_one_command_for_each_thing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(project / "nothing"))
    _edit(lambda params: params["splits"].update(yaml.safe_load(PRESETS["paper"].path.read_text())["splits"]))
    make = Path("data/refcoco")
    make.rename("elsewhere")
    code, text = _ask(monkeypatch, capsys)
    assert code == 2
    commands = re.findall(r"\$ (\w+) (?:download )?(\S+)", text)
    downloads = [word for word, _ in commands]
    assert downloads == ["hf", "hf", "hf", "curl", "curl"]
    assert [name for word, name in commands if word == "hf"] == [SD, "facebook/sam-vit-huge", CLIP]
    for said in (
        "bvisionweb1.cs.unc.edu/licheng/referit/data/refcoco.zip",
        "train2014.zip -d data",
        "21 GB to download",
    ):
        assert said in text
    assert re.search(r"refcoco_val 1,500 10,834 ", text)


def test_counts_stand_beside_the_published_ones(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _name_benchmark(project)
    code, text = _ask(monkeypatch, capsys)
    assert code == 0
    assert "RefCOCO val has 1,500 photos, 3,811 objects, 10,834 sentences" in text


def test_a_cut_model_file_is_fetched_again(
    project: Path, hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = next(
        (hub / f"models--{CLIP.replace('/', '--')}").glob("snapshots/*/open_clip_model.safetensors")
    ).resolve()
    size = weights.stat().st_size
    try:
        with weights.open("r+b") as file:
            file.truncate(size - 10)
        code, text = _ask(monkeypatch, capsys)
    finally:
        with weights.open("r+b") as file:
            file.truncate(size)
    assert code == 2
    assert "no whole safetensors file" in text
    assert f"$ hf download {CLIP} --include open_clip_model.safetensors --force-download" in text


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_examined_without_a_dataset(
    preset: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = _ask(monkeypatch, capsys, "--preset", preset)
    assert code == 0, text
    assert "datasets" not in text
    assert ("miniatures" if preset == "demo" else "one photo, all methods") in text


def test_packages_out_of_their_range_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.importlib.metadata, "requires", lambda _: ["torch>=99", "no-such-thing>=1", "numpy>=1"])
    found = machine.check_packages("no_such_language").findings
    assert [finding.text.partition(":")[0] for finding in found] == ["torch", "no-such-thing", "parse_text.spacy_model"]
    assert found[0].run == ("pip install 'torch>=99'",)
    assert all(finding.state == "MISSING" for finding in found)
