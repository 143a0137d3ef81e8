import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from refdiff.errors import DatasetError
from refdiff.masks.rle import encode_mask
from refdiff.params import parse_section
from refdiff.proposals.file import FileSource, open_file
from refdiff.proposals.settings import FileSettings
from refdiff.proposals.source import Photo
from tests.proposals.rows import boxes

MASKS = boxes(6, 8, (1, 2, 5, 7), (0, 0, 3, 3))
PHOTO = Photo("7", 6, 8)
IDS = ["7", "8"]


def _code(mask: np.ndarray) -> dict[str, Any]:
    return {"size": list(mask.shape), "counts": encode_mask(mask).decode("ascii")}


def _plain(mask: np.ndarray) -> dict[str, Any]:
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [not flat[-1]]])))
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}


def _open(folder: Path, content: object) -> FileSource:
    path = folder / "masks.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return open_file(parse_section(FileSettings, {"kind": "file", "path": str(path)}, "x"), "toy", IDS)


def test_compressed_and_plain_codes_and_polygons_are_read_in_their_order(tmp_path: Path) -> None:
    source = _open(
        tmp_path,
        [
            {"image_id": 7, "segmentation": _code(MASKS[0]), "score": 0.5, "category_id": 1},
            {"image_id": "7", "segmentation": _plain(MASKS[1])},
            {"image_id": 7, "segmentation": [[2, 1, 7, 1, 7, 5, 2, 5]], "score": 1},
        ],
    )
    found = source.propose(PHOTO)
    assert (found.masks[:2] == MASKS).all()
    assert (found.masks[2] == coco.decode(coco.frPyObjects([[2, 1, 7, 1, 7, 5, 2, 5]], 6, 8)[0])).all()  # pyright: ignore
    np.testing.assert_array_equal(found.confidence, np.array([0.5, np.nan, 1.0], np.float32))
    assert np.isnan(found.thresholds).all()
    assert len(source.propose(Photo("8", 4, 4))) == 0
    assert len(source.identity()["sha256"]) == 64


def test_a_mapping_with_annotations_and_a_path_by_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.json").write_text(
        json.dumps({"annotations": [{"image_id": 8, "segmentation": _code(MASKS[0])}]}), encoding="utf-8"
    )
    source = open_file(FileSettings(kind="file", path="{split}.json"), "toy", IDS)
    assert len(source.propose(Photo("8", 6, 8))) == 1


def test_files_of_sams_own_tools_are_read_one_a_photo(tmp_path: Path) -> None:
    """The id of SA-1B may be another than the dataset's, whose id is then the name of the file."""
    folder, code = tmp_path / "masks", _plain(MASKS[0])
    folder.mkdir()
    for name, image in (("a", {"image_id": 7}), ("b", {"image_id": 1, "file_name": "8"})):
        annotations = [{"id": 5, "segmentation": code, "area": 8, "predicted_iou": 0.9}, {"segmentation": code}]
        (folder / f"{name}.json").write_text(json.dumps({"image": image, "annotations": annotations}))
    source = open_file(FileSettings(kind="file", path=str(folder)), "toy", IDS)
    for photo in (PHOTO, Photo("8", 6, 8)):
        found = source.propose(photo)
        assert (found.masks == MASKS[[0, 0]]).all()
        np.testing.assert_array_equal(found.confidence, np.array([0.9, np.nan], np.float32))
    (folder / "a.json").unlink()
    assert open_file(FileSettings(kind="file", path=str(folder)), "toy", IDS).digest != source.digest
    (folder / "a.json").write_text(json.dumps({"image": {"image_id": 3}, "annotations": [{"segmentation": code}]}))
    with pytest.raises(DatasetError, match=r"a.json: mask 0 \(image 3\): unknown photo"):
        open_file(FileSettings(kind="file", path=str(folder)), "toy", IDS)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no file \*.json; expected one for each photo"):
        open_file(FileSettings(kind="file", path=str(tmp_path)), "toy", IDS)


def test_an_empty_list_has_no_proposals(tmp_path: Path) -> None:
    assert len(_open(tmp_path, []).propose(PHOTO)) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "masks.json: is not JSON"),
        ({"images": []}, "masks.json: expected a list of .* got a mapping of 1"),
        (3, "expected a list of .* got 3"),
        (
            [{"image_id": 99, "segmentation": []}],
            r"mask 0 \(image 99\): unknown photo; expected one of the 2 of split .*, such as '7'; correct",
        ),
        ([{"segmentation": []}], r"mask 0: has no 'image_id'; .* dataset; add it to each mask, or [^;]*$"),
        ([{"score": 1}], r"mask 0: has no 'image_id'; expected it among its fields, got score; correct the record$"),
        ([{"image_id": 7}], r"mask 0 \(image 7\): has no 'segmentation'"),
        ([5], "mask 0: expected a mapping, got 5"),
        ([{"image_id": 7, "segmentation": [], "score": "high"}], "score is 'high'; expected a finite number"),
        ([{"image_id": 9, "segmentation": []}] * 25, r"25 faults|21 faults"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        _open(tmp_path, content)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nosuch.json: cannot be read \(No such file"):
        open_file(FileSettings(kind="file", path=str(tmp_path / "nosuch.json")), "toy", IDS)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (_code(np.ones((8, 6), np.bool_)), r"mask 0 \(image 7\): run-length code has size .*; expected \[6, 8\]"),
        ({"size": [6, 8], "counts": [1, 2]}, "covers 3 pixels; expected 6 x 8 = 48"),
        ({"size": [6, 8], "counts": "zzz"}, "run-length code"),
        ([], "segmentation is empty"),
        ([[1, 2, 3]], "polygon has 3 numbers"),
        ([[0.1, 0.1, 0.9, 0.1, 0.9, 0.9]], "shares"),
        ([[0, 1, 1, 0, 0, 0, 0, 0]] * 6, "0 and 1|matrix|0/1"),
        (None, "segmentation is None; expected polygons or a run-length code"),
    ],
)
def test_masks_that_do_not_fit_their_photo_are_refused_with_the_record(
    tmp_path: Path, segmentation: object, message: str
) -> None:
    source = _open(tmp_path, [{"image_id": 7, "segmentation": segmentation}])
    with pytest.raises(DatasetError, match=message):
        source.propose(PHOTO)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (
            MASKS[0].astype(int).tolist(),
            "segmentation is a matrix of 6 x 8 pixels; expected polygons or a run-length code",
        ),
        ([[0.1, 0.2, 0.7, 0.2, 0.7, 0.9]], "segmentation has no number beyond 1: shares of the photo"),
        ([[2, 1, 12, 1, 12, 5, 2, 5]], r"reaches from \(2, 1\) to \(12, 5\), beyond the photo of 8 x 6"),
        ([[2, 1, 7, 1, 7, 5], [1, 1, 2, 2]], "part 2 of 2: polygon has 4 numbers"),
    ],
)
def test_what_a_dataset_would_remark_on_is_refused(tmp_path: Path, segmentation: object, message: str) -> None:
    source = _open(tmp_path, [{"image_id": 7, "segmentation": segmentation}])
    with pytest.raises(DatasetError, match=rf"masks\.json: mask 0 \(image 7\): .*{message}"):
        source.propose(PHOTO)


def test_all_faults_of_a_photo_are_named_together(tmp_path: Path) -> None:
    source = _open(tmp_path, [{"image_id": 7, "segmentation": []}] * 3)
    with pytest.raises(DatasetError, match="3 faults") as caught:
        source.propose(PHOTO)
    assert str(caught.value).count("segmentation is empty") == 3
