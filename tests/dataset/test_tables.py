import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from refdiff.dataset.tables import EXPRESSIONS, Dataset, read_dataset, write_dataset
from refdiff.errors import ArtifactMissingError, StoreMismatchError
from refdiff.parquet import read_provenance, read_table, write_table
from tests.dataset.folder import make_folder


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_folder(tmp_path / "mini").prepare()


def test_what_is_written_is_read_back(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path / "out", dataset)
    again = read_dataset(tmp_path / "out")
    for part in ("images", "expressions", "targets"):
        one, other = getattr(dataset, part), getattr(again, part)
        for name in one.__slots__:
            assert list(getattr(one, name)) == list(getattr(other, name)), name
    assert again.images.height.dtype == again.expressions.target_index.dtype == np.int32
    assert again.targets.area.dtype == np.int64
    assert again.meta == dataset.meta
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "dataset.json",
        "expressions.parquet",
        "images.parquet",
        "targets.parquet",
    ]


def test_every_table_knows_where_it_comes_from(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path, dataset)
    for file in tmp_path.glob("*.parquet"):
        provenance = read_provenance(file)
        assert provenance["stage"] == "prepare_dataset"
        assert set(provenance["inputs"]) == {"refs(unc).p", "instances.json", "photos"}
        assert provenance["parameters"]["split"]["split"] == "val"


def test_the_expressions_of_a_photo_are_a_range(dataset: Dataset) -> None:
    assert dataset.images.image_id == ["1", "2"]
    assert [list(dataset.expressions_of(i)) for i in range(2)] == [[0, 1, 2], [3]]
    assert [list(dataset.targets_of(i)) for i in range(2)] == [[0, 1], [2]]
    assert [dataset.expressions.sentence[i] for i in dataset.expressions_of(0)] == [
        "the left box",
        "a box",
        "right one",
    ]


def test_missing_and_damaged_files_are_named(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path, dataset)
    (tmp_path / "dataset.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreMismatchError, match=r"dataset\.json: the whole: Invalid JSON"):
        read_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text("[]", encoding="utf-8")
    with pytest.raises(StoreMismatchError, match=r"dataset\.json: the whole: Input should be an object"):
        read_dataset(tmp_path)
    (tmp_path / "dataset.json").unlink()
    with pytest.raises(ArtifactMissingError, match=r"dataset\.json: not there; run `dvc repro`"):
        read_dataset(tmp_path)
    (tmp_path / "targets.parquet").unlink()
    with pytest.raises(ArtifactMissingError, match=r"targets\.parquet: not there"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("expression_index", [1, 0, 2, 3], "rows are out of order"),
        ("image_index", [0, 1, 0, 1], "not ordered by photo"),
        ("image_index", [0, 0, 0, 2], "point beyond the other tables"),
        ("target_index", [0, 0, 1, 3], "point beyond the other tables"),
        ("target_index", [0, 0, 1, -2], "point beyond the other tables"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(
    dataset: Dataset, tmp_path: Path, column: str, values: list[int], message: str
) -> None:
    write_dataset(tmp_path, dataset)
    file = tmp_path / "expressions.parquet"
    columns = read_table(file, EXPRESSIONS).to_pydict()
    write_table(file, EXPRESSIONS, {**columns, column: values}, {})
    with pytest.raises(StoreMismatchError, match=rf"expressions\.parquet: .*{message}"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("digest", ["", "../../" + "0" * 58, "A" * 64, "0" * 64 + "\n"])
def test_digests_name_folders_and_are_digests(dataset: Dataset, tmp_path: Path, digest: str) -> None:
    images = replace(dataset.images, sha256=[dataset.images.sha256[0], digest])
    write_dataset(tmp_path, replace(dataset, images=images))
    with pytest.raises(StoreMismatchError, match=r"images\.parquet: row 1: expected a photo with a SHA-256"):
        read_dataset(tmp_path)


def test_the_digest_is_of_the_files_bytes(dataset: Dataset) -> None:
    images = dataset.images
    assert images.sha256 == [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in images.path]


def test_the_tables_hold_nothing_but_their_schema(dataset: Dataset, tmp_path: Path) -> None:
    write_dataset(tmp_path, dataset)
    assert pq.read_schema(tmp_path / "expressions.parquet").names == EXPRESSIONS.names
    assert json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8"))["split"] == "mini"
