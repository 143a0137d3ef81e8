from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refdiff.errors import OutputError
from refdiff.report.output import (
    MASKS,
    PICTURES,
    check_file_path,
    check_outputs,
    check_picture_path,
    write_picture,
)
from refdiff.whole_file import write_whole


@pytest.mark.parametrize("ending", sorted(PICTURES))
def test_a_picture_is_written_in_the_format_of_its_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    check_picture_path(path, PICTURES)
    write_picture(path, np.full((4, 6, 3), 200, np.uint8))
    with Image.open(path) as image:
        assert image.format == PICTURES[ending]
        assert image.size == (6, 4)
    assert list(tmp_path.iterdir()) == [path]


def test_paths_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a.png"
    folder.mkdir()
    for path, message in (
        (tmp_path / "a.tif", r"cannot tell the format; expected a name that ends in \.png, \.jpg"),
        (folder, "is a folder; expected the name of a file"),
        (tmp_path / "none/a.png", "the folder .*none is not there; make it"),
    ):
        with pytest.raises(OutputError, match=message):
            check_picture_path(path, PICTURES)
    with pytest.raises(OutputError, match=r"ends in \.png$"):
        check_picture_path(tmp_path / "a.jpg", MASKS)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, another file, and links to the photo."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "Other.png", "held.png.partial"):
        Path(name).write_bytes(name.encode())
    Path("soft.png").symlink_to("photo.png")
    Path("hard.png").hardlink_to("photo.png")
    Path("dangling.png").symlink_to("new.png")
    Path("folder").symlink_to(".")
    Path("below").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "name", ["photo.png", "./photo.png", "folder/photo.png", "below/../photo.png", "soft.png", "hard.png"]
)
def test_an_output_is_never_an_input(here: Path, name: str) -> None:
    for path in (Path(name), here / name):
        with pytest.raises(
            OutputError, match=r"^-o .*: is the same file as the photo photo\.png; expected a file of its"
        ):
            check_outputs([("-o", path)], [("the photo", Path("photo.png"))])
        check_outputs([("-o", path)], [("the photo", Path("Other.png")), ("--params", Path("params.yaml"))])


def test_a_file_is_not_written_by_way_of_an_input(here: Path) -> None:
    with pytest.raises(OutputError, match=r"held\.png: is the same file as the photo held\.png\.partial"):
        check_outputs([("-o", here / "held.png")], [("the photo", Path("held.png.partial"))])


@pytest.mark.parametrize(
    "pair",
    [("a.png", "./a.png"), ("a.png", "A.PNG"), ("new.png", "dangling.png"), ("\u00e9.png", "e\u0301.png")],
    ids=ascii,
)
def test_two_outputs_are_never_one_file(here: Path, pair: tuple[str, str]) -> None:
    outputs = [("--mask", here / "m.png"), *zip(("-o", "--mask"), map(Path, pair), strict=True)]
    with pytest.raises(OutputError, match=r"^--mask .*: is the same file as -o "):
        check_outputs(outputs, [])
    check_outputs(outputs[:2], [])


def test_names_that_differ_in_capitals_alone_are_two_where_both_are_there(here: Path) -> None:
    Path("other.png").touch()
    if len(list(here.glob("?ther.png"))) == 2:
        check_outputs([("-o", Path("other.png")), ("--mask", Path("Other.png"))], [])


def test_standard_output_is_an_output_too(here: Path) -> None:
    with Path("printed.png").open("wb") as file:
        with pytest.raises(OutputError, match=r"^standard output: is the same file as -o printed\.png; "):
            check_outputs([("-o", Path("printed.png")), ("standard output", file.fileno())], [])
        check_outputs([("-o", Path("a.png")), ("standard output", file.fileno())], [("the photo", here / "photo.png")])


def test_a_file_may_be_in_folders_that_are_not_there_yet(here: Path) -> None:
    check_file_path(here / "none/none/a.csv")
    check_file_path(Path("a.csv"))
    with pytest.raises(OutputError, match=r"a\.csv: cannot be written, .*photo\.png is a file; expected a folder"):
        check_file_path(here / "photo.png/none/a.csv")
    with pytest.raises(OutputError, match="is a folder"):
        check_file_path(here)


def test_what_the_disk_or_the_format_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written .*; make room or choose another place"):
        write_whole(tmp_path / "none/a.png", b"x")
    with pytest.raises(OutputError, match=r"70000 x 1 pixels cannot be written in this format .*; choose \.png"):
        write_picture(tmp_path / "a.jpg", np.zeros((70_000, 1, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
