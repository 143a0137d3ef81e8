from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refdiff.errors import OutputError
from refdiff.report.output import MASKS, PICTURES, check_picture_path, write_picture, write_whole


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


def test_what_the_disk_or_the_format_refuses_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be written .*; make room or choose another place"):
        write_whole(tmp_path / "none/a.png", b"x")
    with pytest.raises(OutputError, match=r"70000 x 1 pixels cannot be written in this format .*; choose \.png"):
        write_picture(tmp_path / "a.jpg", np.zeros((70_000, 1, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
