"""Files that are nearly of the expected form: one line that names the form, or the rule by which they are taken."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refdiff.dataset.prepare import prepare_dataset
from refdiff.errors import DatasetError, DatasetFaultsError, HostilePickleError
from tests.dataset.folder import MiniFolder, box_polygon, make_folder, make_ref, rectangle, shipped_settings, split_row

LINES = b'{"image": "photo_1.png", "sentence": "a"}\n{"image": "photo_2.png", "sentence": "b"}\n'
CSV = b"image,sentence\nphoto_1.png,a\nphoto_2.png,b\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LINES.decode().encode("utf-16"), r"is text in UTF-16; expected JSON in UTF-8; save it as UTF-8"),
        (LINES.decode().encode("utf-16-le"), r"is text in UTF-16"),
        (b"<!DOCTYPE html>\n<html>\n", "is a page of HTML; .*; the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer; .*git lfs pull"),
        (
            b"[" + LINES.strip().replace(b"\n", b",\n") + b"]\n",
            "is one JSON list, a list of 2; expected one object a line",
        ),
        (b"[" + LINES.strip().replace(b"\n", b",") + b"]", "is one JSON list"),
        (
            b'{\n "image": "photo_1.png",\n "sentence": "a"\n}\n',
            "is one JSON mapping, a mapping of 2; expected one object",
        ),
        (CSV, r"no line is a JSON object, the first is 'image,sentence'; expected \{\"image\""),
        (b"\xef\xbb\xbf" + CSV, "no line is a JSON object"),
    ],
)
def test_a_jsonl_that_is_none_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    (folder.root / "val.jsonl").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"^\S*val\.jsonl: {message}") as caught:
        prepare_dataset("mine", split_row(folder.root, format="jsonl", split_by=None), shipped_settings())
    assert "\n" not in str(caught.value)


def test_json_and_csv_beside_a_missing_jsonl_are_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    (folder.root / "val.csv").write_bytes(CSV)
    with pytest.raises(DatasetError, match=r"; write it, or write val\.csv as val\.jsonl, one object a line"):
        prepare_dataset("mine", split_row(folder.root, format="jsonl", split_by=None), shipped_settings())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("instances.json", '{"images": []}'.encode("utf-16"), "is text in UTF-16; expected JSON in UTF-8; save it"),
        ("instances.json", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        ("instances.json", b'{"images": [], "images": []}', "is not JSON .a mapping has the key 'images' twice."),
        ("instances.json", b'{"images": [],}', "is not JSON"),
        ("refs(unc).p", b"<html>404</html>", "is a page of HTML; expected a REFER pickle; the download failed"),
        ("refs(unc).p", b"\x1f\x8b\x08\0", "is a gzip archive; expected a REFER pickle; unpack it"),
    ],
)
def test_a_file_of_another_kind_is_named(file: str, content: bytes, message: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    (folder.root / file).write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{re.escape(file)}: {message}"):
        prepare_dataset("mini", split_row(folder.root), shipped_settings())


def test_a_pickle_that_was_transferred_as_text_shows_its_records(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    text = pickle.dumps(folder.refs, protocol=0).replace(b"\n", b"\r\n")
    (folder.root / "refs(unc).p").write_bytes(text)
    with pytest.raises(DatasetFaultsError, match=r"5 faults; no record tells its split; fetch .* as bytes") as caught:
        prepare_dataset("mini", split_row(folder.root), shipped_settings(on_fault="drop"))
    assert (
        "ref record 0: has no 'split'; expected it among its fields, got ref_id\\r, ann_id" in caught.value.entries[0]
    )


def test_a_split_that_is_not_there_is_blamed_with_what_was_lost(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini", lambda folder: folder.refs[4].pop("split"))
    with pytest.raises(
        DatasetError, match=r"no split 'vall'; .*: testA \(1 refs\), val \(3 refs\); .*; 1 records cannot"
    ):
        folder.prepare({"split": "vall"})


def test_a_pickle_of_ones_own_is_told_what_to_write(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    (folder.root / "refs(unc).p").write_bytes(pickle.dumps([folder.refs[0] | {"ref_id": np.int64(1)}]))
    with pytest.raises(
        HostilePickleError, match=r"holds more than data: .*write one of your own with plain int and str .*, or as JSON"
    ):
        prepare_dataset("mini", split_row(folder.root), shipped_settings())


def test_tuples_are_as_good_as_lists(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    listed = folder.prepare()
    plain: Any = tuple(ref | {"sentences": tuple(ref["sentences"])} for ref in folder.refs)
    (folder.root / "refs(unc).p").write_bytes(pickle.dumps(plain))
    dataset = prepare_dataset("mini", split_row(folder.root), shipped_settings())
    assert dataset.targets.counts == listed.targets.counts
    assert dataset.expressions.sentence == listed.expressions.sentence


def _move_photos(folder: MiniFolder, name: str) -> None:
    photos = folder.images.rename(folder.root / "moved")
    target = folder.root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    photos.rename(target)
    folder.images.mkdir(exist_ok=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda f: _move_photos(f, "images/train2014"),
            r"images/train2014/photo_1\.png is there, set .*images/train2014$",
        ),
        (
            lambda f: _move_photos(f, "train2014"),
            r"train2014/photo_1\.png is there, set splits\.mini\.images: \S*train2014$",
        ),
        (lambda f: _move_photos(f, "away/far/off"), r"such as photo_1\.png; fetch the photos, or correct splits\.mini"),
    ],
)
def test_photos_elsewhere_are_one_line_for_the_folder(
    change: Callable[[MiniFolder], None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=rf"images: holds none of the 2 photos; expected .*{message}") as caught:
        make_folder(tmp_path / "mini", change).prepare()
    assert "\n" not in str(caught.value)
    assert "on_fault" not in str(caught.value)


def test_a_photo_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    with pytest.raises(
        DatasetError, match=r"images2: is not a folder; .*/images/photo_1\.png is there, set splits\.mini"
    ):
        folder.prepare({"images": str(folder.root / "images2")})


def test_where_all_is_faulty_nobody_is_told_to_drop_it(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini", lambda f: [f.photo(image_id).write_text("no photo") for image_id in (1, 2)])
    with pytest.raises(DatasetFaultsError, match="2 faults; correct the dataset: nothing in it is without a fault"):
        folder.prepare()


def _crowd(*refs: dict[str, Any]) -> Callable[[MiniFolder], None]:
    def change(folder: MiniFolder) -> None:
        folder.instances["annotations"][1]["iscrowd"] = 1
        folder.refs = list(refs)

    return change


def test_crowds_are_left_out_of_grefcoco_as_by_its_loader(tmp_path: Path) -> None:
    both = make_ref(1, [10, 11], 1, "val", "both boxes")
    dataset = make_folder(tmp_path / "mini", _crowd(both)).prepare({"format": "grefcoco"})
    assert dataset.targets.area.tolist() == [30]
    assert dataset.targets.instances.tolist() == [1]
    assert dataset.meta["conventions"]["crowds"] == "left out"
    assert re.search("ref 1: annotation 11 is a crowd; it is left out", dataset.meta["remarks"]["crowd"][0])
    only = make_ref(1, [11], 1, "val", "the crowd")
    with pytest.raises(DatasetFaultsError, match="ref 1: all its annotations are crowds, which are left out"):
        make_folder(tmp_path / "only", _crowd(only)).prepare({"format": "grefcoco"})


def test_crowds_of_refer_count_as_by_its_loader(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "mini", _crowd(make_ref(1, 11, 1, "val", "the crowd"))).prepare()
    assert dataset.targets.instances.tolist() == [1]
    assert dataset.meta["conventions"]["crowds"] == "as any object"
    assert dataset.meta["remarks"] == {}


def test_a_bad_part_is_left_out_and_the_object_stays(tmp_path: Path) -> None:
    good = make_folder(tmp_path / "good").prepare()

    def change(folder: MiniFolder) -> None:
        folder.instances["annotations"][0]["segmentation"] = [[1, 1, 2, 2], box_polygon(2, 3, 7, 9)]

    dataset = make_folder(tmp_path / "mini", change).prepare()
    assert dataset.targets.counts == good.targets.counts
    assert dataset.meta["dropped_counts"]["faults"] == 0
    (line,) = dataset.meta["remarks"]["broken_part"]
    assert "annotation 10: part 1 of 2: polygon has 4 numbers" in line


@pytest.mark.parametrize(
    ("box", "told"),
    [([2, 3, 5, 6], False), ([2.4, 2.7, 5.1, 6], False), ([3, 2, 6, 5], True), ([8, 1, 3, 9], True), ("x", False)],
)
def test_a_mask_far_from_the_annotations_own_box_is_told(box: object, told: bool, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini", lambda folder: folder.instances["annotations"][0].update(bbox=box))
    assert ("other_box" in folder.prepare().meta["remarks"]) == told


@pytest.mark.parametrize("inverted", [False, True])
def test_a_mask_image_with_all_of_the_border_is_told(inverted: bool, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    Image.fromarray(rectangle(12, 16, slice(3, 9), slice(2, 7)) != inverted).save(folder.root / "mask.png")
    (folder.root / "val.jsonl").write_text('{"image": "photo_1.png", "sentence": "a", "mask": "mask.png"}')
    dataset = prepare_dataset("mine", split_row(folder.root, format="jsonl", split_by=None), shipped_settings())
    assert dataset.targets.area.tolist() == [162 if inverted else 30]
    assert ("inside_out" in dataset.meta["remarks"]) == inverted
