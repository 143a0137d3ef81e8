"""Files are replaced whole or left as they were."""

from pathlib import Path

import pytest

from refdiff.whole_file import replacing


def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    file = tmp_path / "table.txt"
    file.write_text("old")
    with replacing(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_content_alone(tmp_path: Path, failure: type[BaseException]) -> None:
    file = tmp_path / "table.txt"
    file.write_text("old")
    with pytest.raises(failure):
        _fail_half_way(file, failure)
    assert file.read_text() == "old"
    assert [*tmp_path.iterdir()] == [file]


def _fail_half_way(file: Path, failure: type[BaseException]) -> None:
    with replacing(file) as partial:
        partial.write_text("ne")
        raise failure
