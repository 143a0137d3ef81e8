import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from PIL import Image

from refdiff import cli
from refdiff.checking.project import check_project
from refdiff.dataset.settings import SplitRow
from refdiff.params import parse_section, read_params
from refdiff.presets.datasets import DATASETS
from refdiff.presets.table import PRESETS
from tests.demo_scene import scene_photo

ROOT = Path(__file__).parents[2]
METHODS = ["ref-diff", "gs", "ds", "ref-diff-plus", "released"]
REAL = [name for name in PRESETS if name != "demo"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _init(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["refdiff", "init", *words])
    try:
        cli.main()
    except SystemExit as ending:
        return int(ending.code or 0)
    return 0


def _differing_lines(before: str, after: str) -> int:
    assert len(before.splitlines()) == len(after.splitlines())
    return sum(one != other for one, other in zip(before.splitlines(), after.splitlines(), strict=True))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_whole_and_in_the_form_of_dvc(name: str, tmp_path: Path) -> None:
    preset = PRESETS[name]
    params, demo = preset.read(), PRESETS["demo"].read()
    check_project(params)
    assert list(params) == list(demo)
    assert list(params["methods"]) == METHODS
    assert preset.method in params["methods"]
    text = preset.path.read_text(encoding="utf-8")
    copy = tmp_path / "params.yaml"
    copy.write_text(text, encoding="utf-8")
    apply_overrides(copy, ["methods.gs.beta=0.25"])  # as `dvc exp run -S` does
    assert _differing_lines(text, copy.read_text(encoding="utf-8")) == 1


def test_the_repository_starts_with_the_demo() -> None:
    """What is committed: people change the file in their working tree, and run the tests all the same."""
    show = ["git", "-C", str(ROOT), "show", "HEAD:params.yaml"]
    shown = subprocess.run(show, capture_output=True, check=False)
    if shown.returncode:
        pytest.skip("not a git checkout")
    assert shown.stdout == PRESETS["demo"].path.read_bytes()


@pytest.mark.parametrize("name", REAL)
def test_no_row_of_a_real_preset_is_left_on_the_demo(name: str) -> None:
    text = PRESETS[name].path.read_text(encoding="utf-8")
    params = yaml.safe_load(text)
    assert "refdiff/demo" not in text
    assert set(params["sources"]) == {"sam"} == {row["proposals"] for row in params["methods"].values()} - {"weak"}
    assert all(row["canvas_px"] >= 512 for row in params["captures"].values())
    sides = {512: [16], 1024: [32]}[params["captures"]["released"]["canvas_px"]]
    assert params["captures"]["released"]["cross_layers"] == {"map_px": sides}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_init_writes_a_preset_with_the_splits_of_a_dataset(
    name: str, dataset: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _init(monkeypatch, "--preset", name, "--dataset", dataset) == 0, capsys.readouterr().err
    assert f"splits {', '.join(read_params(Path('params.yaml'))['splits'])}\n" in capsys.readouterr().out
    file = folder / "params.yaml"
    text, params = file.read_text(encoding="utf-8"), read_params(file)
    rows = {key: parse_section(SplitRow, row, key) for key, row in params["splits"].items()}
    check_project(params)
    known = DATASETS[dataset].benchmarks
    assert [row.benchmark for row in rows.values()] == [each.name for each in known] or not known
    assert params["methods"]["released"]["min_area_px"] == (10_000 if dataset in ("refcoco", "refcoco+") else 0)
    expected = {**yaml.safe_load(PRESETS[name].path.read_text()), "splits": params["splits"]}
    expected["methods"]["released"]["min_area_px"] = params["methods"]["released"]["min_area_px"]
    assert params == expected
    apply_overrides(file, ["captures.paper.canvas_px=256"])
    assert _differing_lines(text, file.read_text(encoding="utf-8")) == 1
    # now it is somebody's own
    assert _init(monkeypatch, "--preset", name, "--dataset", dataset) == 2
    assert _init(monkeypatch, "--preset", name, "--dataset", dataset, "--force") == 0
    assert file.read_text(encoding="utf-8") == text


def test_init_replaces_only_what_nobody_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "params.yaml"
    assert _init(monkeypatch, "--preset", "demo") == 0
    assert file.read_bytes() == PRESETS["demo"].path.read_bytes()
    for words in (("paper", "refcocog", "--splits", "test"), ("light", "jsonl", "--folder", "my photos")):
        assert _init(monkeypatch, "--preset", words[0], "--dataset", *words[1:]) == 0
    assert read_params(file)["splits"]["my_photos_val"]["images"] == "my photos"
    for mine in (b"splits: {}\n", b"\xff", file.read_bytes() + b"# mine\n"):
        file.write_bytes(mine)
        capsys.readouterr()
        assert _init(monkeypatch, "--preset", "demo") == 2
        assert "--force" in capsys.readouterr().err
        assert file.read_bytes() == mine
    assert sorted(path.name for path in folder.iterdir()) == ["params.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "paper"), "no dataset; expected --dataset"),
        (("--preset", "demo", "--splits", "val"), "belong to a dataset"),
        (
            ("--preset", "light", "--dataset", "jsonl", "--splits", "a b", "a-b"),
            "a b would have the name of another row",
        ),
        (("--preset", "papr"), "no 'papr'; expected one of: demo, paper, released, light; did you mean 'paper'?"),
        (("--preset", "paper", "--dataset", "refcocco"), "did you mean 'refcoco'?"),
        (("--preset", "paper", "--dataset", "refcocog", "--splits", "testA"), "has no split 'testA'; expected one of"),
        (("--preset", "paper", "--dataset", "refcoco", "--splits", "tesA"), "did you mean 'testA'?"),
        (("--preset", "paper", "--dataset", "jsonl", "--folder", "on"), "no plain name in YAML"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _init(monkeypatch, *words) == 2
    assert message in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_names_of_rows_are_plain(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        _init(monkeypatch, "--preset", "light", "--dataset", "jsonl", "--folder", "data/2024.1", "--splits", "a.b") == 0
    )
    assert list(read_params(folder / "params.yaml")["splits"]) == ["own_2024_1_a_b"]
    monkeypatch.setenv("HOME", str(folder))
    assert _init(monkeypatch, "--preset", "light", "--dataset", "jsonl", "--folder", "~/mine") == 0
    assert read_params(folder / "params.yaml")["splits"]["mine_val"]["images"] == str(folder / "mine")


def test_segment_takes_a_preset_and_its_method(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its models it ends with the first one's name."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder / "hub"))
    Image.fromarray(scene_photo()).save(folder / "photo.png")
    words = ["refdiff", "segment", "photo.png", "the dog", "-o", "out.png", "--preset", "released"]
    for more, said in (([], "hf download stable-diffusion-v1-5/"), (["--params", "x.yaml"], "not allowed with")):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        assert ending.value.code == 2
        assert said in capsys.readouterr().err
