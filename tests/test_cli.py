import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from refdiff import __version__, cli
from refdiff.masks.rle import decode_mask
from tests.demo_scene import scene_photo, scene_sentences

ROOT = Path(__file__).parents[1]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(scene_photo()).save(path)
    return path


def _read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def _refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run in this process, see that it ends with code 2 and one line, and return that line."""
    monkeypatch.setattr(sys, "argv", ["refdiff", *map(str, arguments)])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert ending.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 1, output.err
    return lines[0]


def _run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "refdiff.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=250
    )


def test_demo_models_work_from_any_folder(photo: Path, tmp_path: Path) -> None:
    sentences = scene_sentences()
    arguments = ("segment", "photo.png", *sentences, "-o", "overlay.png", "--mask", "mask.png", "--heat", "--json")
    result = _run(tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert content["method"] == "ref-diff-plus"
    assert content["refdiff"] == __version__
    assert [each["sentence"] for each in content["sentences"]] == sentences
    height, width = scene_photo().shape[:2]
    for place, each in enumerate(content["sentences"], 1):
        mask = _read(tmp_path / f"mask_{place}.png")
        assert mask.shape == (height, width)
        assert set(np.unique(mask)) == {0, 255}
        counts = each["mask"]["counts"].encode("ascii")
        assert np.array_equal(decode_mask(counts, *each["mask"]["size"]), mask > 0)
        left, top, right, bottom = each["box_xyxy"]
        assert (mask[top:bottom, left:right] > 0).sum() == each["area_px"] == (mask > 0).sum()
        assert each["chosen"] >= 0
        assert each["head"]["text"] == each["sentence"][each["head"]["start"] : each["head"]["end"]]
        assert set(each["scores"]) == {"total", "generative", "local", "global_view", "discriminative"}
    assert content["sentences"][1]["direction"] == "left"
    assert _read(tmp_path / "overlay.png").shape[1] > 2 * width, "photo and heat side by side"
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "overlay.png", "mask_1.png", "mask_2.png"}


def test_in_words(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.webp"
    arguments = ["segment", str(photo), 'the "red" circle', "-o", str(target), "--method", "ds"]
    monkeypatch.setattr(sys, "argv", ["refdiff", *arguments])
    cli.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('"the \\"red\\" circle": ')
    assert "pixels" in lines[0]
    assert "head word 'circle'" in lines[0]
    assert lines[1] == str(target)
    assert _read(target).shape[1] == scene_photo().shape[1]


def test_the_overlay_has_the_photos_name_if_none_is_given(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["refdiff", "segment", str(photo), "the circle", "--method", "ds"])
    cli.main()
    output = capsys.readouterr()
    assert output.out.splitlines()[1] == "photo_overlay.png"
    assert _read(tmp_path / "photo_overlay.png").shape[1] == scene_photo().shape[1]
    assert re.fullmatch(r"local-dir:.*: on (cpu \(\d+ threads\)|cuda), float32\n", output.err)


def test_the_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["refdiff", "--version"])
    with pytest.raises(SystemExit) as ending:
        cli.main()
    assert ending.value.code == 0
    assert capsys.readouterr().out.strip() == f"refdiff {__version__}"


def test_user_mistakes_are_one_line_each(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object) -> str:
        return _refuse(monkeypatch, capsys, "segment", *arguments)

    out = ("-o", tmp_path / "o.png")
    empty = tmp_path / "empty.png"
    empty.touch()
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert "methods: no entry 'mine'; expected one of: ref-diff" in refuse(photo, "a", *out, "--method", "mine")
    assert "none.png: image is not there" in refuse(tmp_path / "none.png", "a", *out)
    assert "empty.png: image is an empty file" in refuse(empty, "a", *out)
    assert "sentence 2: is blank, got ' '" in refuse(photo, "a", " ", *out)
    assert "the folder" in refuse(photo, "a", "-o", tmp_path / "none/o.png")
    assert "cannot tell the format" in refuse(photo, "a", "-o", tmp_path / "o.gif")
    assert "is a folder; expected" in refuse(photo, "a", "-o", folder)
    assert "cannot tell the format; expected a name that ends in .png" in refuse(
        photo, "a", *out, "--mask", tmp_path / "m.jpg"
    )
    assert "none.yaml: cannot be read" in refuse(photo, "a", *out, "--params", tmp_path / "none.yaml")
    assert "sentence 2: is a file, got" in refuse(photo, "a", str(photo), *out)
    assert "~/none/o.png" not in refuse(photo, "a", "-o", "~/none/o.png")
    for name in (photo, tmp_path / "." / "folder.png" / ".." / "photo.png"):
        assert "photo.png: is the same file as the photo " in refuse(photo, "a", "-o", name)
        assert "photo.png: is the same file as the photo " in refuse(photo, "a", *out, "--mask", name)
    assert "m_2.png: is the same file as -o" in refuse(
        photo, "a", "b", "-o", tmp_path / "m_2.png", "--mask", tmp_path / "m.png"
    )
    assert "o.png: is the same file as --params" in refuse(photo, "a", *out, "--params", tmp_path / "o.png")
    assert np.array_equal(_read(photo), scene_photo())
    assert not (tmp_path / "o.png").exists()


def test_refusals_load_no_model_library(photo: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['refdiff', 'segment', 'none.png', 'a', '-o', 'o.png']\n"
        "from refdiff import cli\n"
        "try: cli.main()\n"
        "except SystemExit as ending: code = ending.code\n"
        "print(code, sorted({'torch', 'diffusers', 'transformers', 'open_clip', 'spacy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert result.stdout.strip() == "2 []"


@pytest.mark.parametrize(
    ("count", "names"), [(1, ["m.png"]), (3, ["m_1.png", "m_2.png", "m_3.png"])], ids=["one", "several"]
)
def test_masks_of_several_sentences_are_numbered(count: int, names: list[str]) -> None:
    assert [path.name for path in cli.name_masks(Path("m.png"), count)] == names
