from pathlib import Path

import pytest

from refdiff.dataset.paths import join_inside
from refdiff.errors import DatasetError, PathOutsideError


@pytest.mark.parametrize("name", ["a.jpg", "sub/a.jpg", "./a.jpg", "a..b.jpg", "ä b.jpg", "sub/../sub.jpg"[7:]])
def test_names_inside_are_joined(name: str, tmp_path: Path) -> None:
    assert join_inside(tmp_path, name, "refuse", "x").is_relative_to(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a.jpg", "sub/../../a.jpg", "/etc/passwd", "C:\\a.jpg", "..\\a.jpg", "\\a.jpg", "a\0.jpg"],
)
def test_names_outside_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        PathOutsideError,
        match=r"line 3: file name .* is empty, absolute or leaves the folder; expected a relative path inside",
    ):
        join_inside(tmp_path, name, "follow", "line 3")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sub\\a.jpg", r"file name 'sub\\\\a\.jpg' has a backslash, .*; expected / .*; write 'sub/a\.jpg'"),
        ("https://example.org/a.jpg", r"'https://example\.org/a\.jpg' is an address; .* nothing is fetched"),
        ("file:///a.jpg", "'file:///a.jpg' is an address"),
        ("s3://bucket/a.jpg", "'s3://bucket/a.jpg' is an address"),
        ("data:image/png;base64,iVBOR", "'data:.*' is an address"),
    ],
)
def test_names_of_other_systems_are_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"line 3: {message}") as caught:
        join_inside(tmp_path, name, "follow", "line 3")
    assert not isinstance(caught.value, PathOutsideError)


def test_a_file_may_have_a_backslash_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a\\b.jpg").touch()
    assert join_inside(tmp_path, "a\\b.jpg", "refuse", "x") == tmp_path / "a\\b.jpg"


def test_links_out_are_refused_or_followed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "inside.png").write_bytes(b"x")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "in.png").symlink_to(folder / "inside.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "up").symlink_to(tmp_path)
    assert join_inside(folder, "in.png", "refuse", "x") == folder / "in.png"
    for name in ("out.png", "up/secret.png"):
        with pytest.raises(PathOutsideError, match=r"is a link out of the folder; .*links_outside: follow"):
            join_inside(folder, name, "refuse", "x")
        assert join_inside(folder, name, "follow", "x").read_bytes() == b"x"
    with pytest.raises(PathOutsideError, match="cannot be resolved"):
        join_inside(folder, "loop.png", "refuse", "x")


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "images").symlink_to(tmp_path / "real")
    assert join_inside(tmp_path / "images", "a.jpg", "refuse", "x") == tmp_path / "images" / "a.jpg"
