"""Every fault that the dataset stage promises to name, in a folder that has it."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refdiff.errors import DatasetError, DatasetFaultsError
from tests.dataset.folder import MiniFolder, make_folder

Change = Callable[[MiniFolder], object]


def _save_turned(folder: MiniFolder) -> None:
    Image.new("RGB", (17, 12)).save(folder.photo(1))


def _sentence(folder: MiniFolder, text: object) -> None:
    folder.refs[0]["sentences"][1]["sent"] = text


def _segmentation(folder: MiniFolder, value: object) -> None:
    folder.instances["annotations"][0]["segmentation"] = value


def _link_out(folder: MiniFolder) -> None:
    outside = folder.photo(2).rename(folder.root.parent / "secret.png")
    folder.photo(2).symlink_to(outside)


# What is changed; kind; message; how many of the four expressions are lost when faults are dropped.
CASES: dict[str, tuple[Change, str, str, int]] = {
    "missing photo": (
        lambda f: f.photo(1).unlink(),
        "image",
        r"photo_1\.png \(image 1\): image is not there; expected a file; check the folder and the name",
        3,
    ),
    "empty photo": (
        lambda f: f.photo(2).write_bytes(b""),
        "image",
        r"photo_2\.png \(image 2\): image is an empty file; expected a photo, got 0 bytes; fetch it again",
        1,
    ),
    "truncated photo": (
        lambda f: f.photo(1).write_bytes(f.photo(1).read_bytes()[:90]),
        "image",
        r"photo_1\.png \(image 1\): image is truncated or broken \(.*\); expected a whole image, got 90 bytes; fetch",
        3,
    ),
    "no photo": (
        lambda f: f.photo(2).write_text("hello"),
        "image",
        r"photo_2\.png \(image 2\): not an image that can be read; expected JPEG, PNG",
        1,
    ),
    "photo of another size": (
        _save_turned,
        "image_size",
        r"photo_1\.png \(image 1\): photo is 12 x 17 \(height x width\); expected 12 x 16 as annotated; use the photos",
        3,
    ),
    "photo outside": (
        lambda f: f.instances["images"][1].update(file_name="../../secret.png"),
        "path_outside",
        r"image 2: file name '\.\./\.\./secret\.png' is empty, absolute or leaves the folder; expected a .*images",
        1,
    ),
    "photo by absolute path": (
        lambda f: f.instances["images"][1].update(file_name="/etc/passwd"),
        "path_outside",
        r"image 2: file name '/etc/passwd' is empty, absolute or leaves the folder",
        1,
    ),
    "photo linked out": (_link_out, "path_outside", "image 2: file 'photo_2.png' is a link out of the folder", 1),
    "image record without size": (
        lambda f: f.instances["images"][1].pop("height"),
        "record",
        r"instances\.json: image 2: has no 'height'; expected it among its fields, got id, file_name, width; correct",
        1,
    ),
    "image record with a bad size": (
        lambda f: f.instances["images"][1].update(width="10"),
        "record",
        "image 2: width is '10'; expected a whole number from 1",
        1,
    ),
    "empty segmentation": (
        lambda f: _segmentation(f, []),
        "mask",
        r"instances\.json: annotation 10: segmentation is empty; expected one polygon or run-length code at least",
        2,
    ),
    "mask without pixels": (
        lambda f: _segmentation(f, [[2, 2, 2, 2, 2, 2]]),
        "empty_mask",
        "annotation 10: the mask has no pixels; expected one at least; correct or remove the annotation",
        2,
    ),
    "no segmentation": (
        lambda f: f.instances["annotations"][0].pop("segmentation"),
        "record",
        "annotation 10: has no 'segmentation'; expected polygons or a run-length code; add it",
        2,
    ),
    "code of another size": (
        lambda f: _segmentation(f, {"size": [5, 5], "counts": [0, 25]}),
        "mask",
        "annotation 10: run-length code: photo is 12 x 16 .*expected 5 x 5",
        2,
    ),
    "damaged code": (
        lambda f: _segmentation(f, {"size": [12, 16], "counts": "abc"}),
        "mask",
        "annotation 10: .*run-length code.*; correct or remove the annotation",
        2,
    ),
    "polygon beyond the photo": (
        lambda f: _segmentation(f, [[0, 0, 5000, 0, 5000, 9]]),
        "mask",
        "annotation 10: polygon reaches from .* far outside the photo; expected x from 0 to 16 and y from 0 to 12",
        2,
    ),
    "duplicate image id": (
        lambda f: f.instances["images"].append(dict(f.instances["images"][1])),
        "duplicate_image",
        r"instances\.json: image 2: two records have this id; expected one; remove or renumber one of them",
        1,
    ),
    "duplicate annotation id": (
        lambda f: f.instances["annotations"].append(dict(f.instances["annotations"][1])),
        "duplicate_annotation",
        r"instances\.json: annotation 11: two records have this id",
        1,
    ),
    "duplicate annotation id that no ref uses": (
        lambda f: f.instances["annotations"].append(dict(f.instances["annotations"][3])),
        "duplicate_annotation",
        r"instances\.json: annotation 13: two records have this id",
        0,
    ),
    "duplicate ref id": (
        lambda f: f.refs[2].update(ref_id=1),
        "duplicate_ref",
        r"refs\(unc\)\.p: ref 1: two refs have this id; expected one",
        1,
    ),
    "duplicate sentence id": (
        lambda f: f.refs[0]["sentences"][1].update(sent_id=100),
        "duplicate_sentence",
        r"refs\(unc\)\.p: ref 1: sentence 100: two sentences have this id",
        1,
    ),
    "unknown image": (
        lambda f: f.refs[2].update(image_id=99),
        "unknown_image",
        r"refs\(unc\)\.p: ref 3: image 99 is unknown; expected an id among the 3 images of .*instances\.json; correct",
        1,
    ),
    "unknown annotation": (
        lambda f: f.refs[2].update(ann_id=99),
        "unknown_annotation",
        r"refs\(unc\)\.p: ref 3: annotation 99 is unknown; expected an id among the 5 annotations of .*instances\.json",
        1,
    ),
    "annotation of another image": (
        lambda f: f.refs[2].update(ann_id=12),
        "record",
        r"instances\.json: annotation 12: belongs to image 2; expected image 1, as its ref says; correct one of them",
        1,
    ),
    "empty sentence": (
        lambda f: _sentence(f, ""),
        "sentence",
        r"refs\(unc\)\.p: ref 1: sentence 101: sentence is '', empty or blank; expected words; correct or remove it",
        1,
    ),
    "blank sentence": (
        lambda f: _sentence(f, " \t\n"),
        "sentence",
        r"ref 1: sentence 101: sentence is ' \\t\\n', empty or blank",
        1,
    ),
    "sentence that is no text": (
        lambda f: _sentence(f, 4),
        "sentence",
        "sentence 101: sentence is 4; expected text",
        1,
    ),
    "sentence without id": (
        lambda f: f.refs[0]["sentences"][1].pop("sent_id"),
        "record",
        "ref 1: sentence record 1: has no 'sent_id'",
        1,
    ),
    "sentence without text": (
        lambda f: f.refs[0]["sentences"][1].pop("sent"),
        "record",
        "ref 1: sentence 101: has no 'sent'; expected it among its fields, got sent_id, raw, tokens",
        1,
    ),
    "ref without sentences": (
        lambda f: f.refs[1].update(sentences=[]),
        "no_sentence",
        "ref 2: has no sentences; expected one or more; remove the ref",
        0,
    ),
    "ref without id": (lambda f: f.refs[2].pop("ref_id"), "record", "ref record 2: has no 'ref_id'", 1),
    "ref that is no record": (
        lambda f: f.refs.append(7),  # pyright: ignore[reportArgumentType]
        "record",
        "ref record 5: expected a mapping, got 7",
        0,
    ),
    "ref without split": (lambda f: f.refs[3].pop("split"), "record", "ref record 3: has no 'split'", 0),
    "annotation without id": (
        lambda f: f.instances["annotations"][4].pop("id"),
        "record",
        "annotation record 4: has no 'id'",
        0,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change, _, message, _ = CASES[name]
    with pytest.raises(
        DatasetFaultsError, match=r"mini \(.*\): 1 fault; correct the dataset, or set .*on_fault"
    ) as caught:
        make_folder(tmp_path / "mini", change).prepare()
    assert len(caught.value.entries) == 1
    assert re.search(message, caught.value.entries[0])
    assert "\n" not in caught.value.entries[0]


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_dropped_and_counted(name: str, tmp_path: Path) -> None:
    change, kind, message, lost = CASES[name]
    dataset = make_folder(tmp_path / "mini", change).prepare(on_fault="drop")
    assert len(dataset.expressions.sentence) == 4 - lost - (name == "ref without sentences")
    assert dataset.meta["dropped_counts"] == {"faults": 1, "by_kind": {kind: 1}, "expressions": lost}
    assert len(dataset.meta["dropped"]) == 1
    assert re.search(message, dataset.meta["dropped"][0])
    assert set(dataset.expressions.image_index.tolist()) == set(range(len(dataset.images.image_id)))
    assert set(dataset.expressions.target_index.tolist()) == set(range(len(dataset.targets.ref_id)))


def test_all_faults_are_listed_together(tmp_path: Path) -> None:
    def change(folder: MiniFolder) -> None:
        folder.photo(2).unlink()
        folder.refs[2]["ann_id"] = 99
        _sentence(folder, "")

    with pytest.raises(DatasetFaultsError, match="3 faults") as caught:
        make_folder(tmp_path / "mini", change).prepare()
    message = str(caught.value)
    assert "sentence 101" in message
    assert "annotation 99 is unknown" in message
    assert "photo_2.png (image 2): image is not there" in message


def test_a_long_list_is_cut_but_counted(tmp_path: Path) -> None:
    def change(folder: MiniFolder) -> None:
        folder.refs[0]["sentences"] = [{"sent_id": i, "sent": "", "raw": "", "tokens": []} for i in range(120)]

    with pytest.raises(
        DatasetFaultsError, match=r"(?s)mini .*: 120 faults;.*sentence 49:.*\.\.\. and 70 more$"
    ) as caught:
        make_folder(tmp_path / "mini", change).prepare()
    assert "sentence 50:" not in str(caught.value)
    assert len(caught.value.entries) == 120


def test_nothing_left_is_refused(tmp_path: Path) -> None:
    def change(folder: MiniFolder) -> None:
        for image_id in (1, 2):
            folder.photo(image_id).write_bytes(b"")

    with pytest.raises(
        DatasetError, match=r"no expression is left of 4; expected one at least; .*image 1\): image is an empty file"
    ):
        make_folder(tmp_path / "mini", change).prepare(on_fault="drop")


def test_faults_of_other_splits_do_not_count(tmp_path: Path) -> None:
    def change(folder: MiniFolder) -> None:
        folder.photo(3).unlink()
        folder.refs[3]["ann_id"] = 99

    assert len(make_folder(tmp_path / "mini", change).prepare().expressions.sentence) == 4


def test_links_out_may_be_followed(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "mini", _link_out).prepare(links_outside="follow")
    assert len(dataset.expressions.sentence) == 4


def test_a_photo_with_too_many_pixels_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetFaultsError, match=r"image 1\): image has 12 x 16 = 192 pixels; expected at most 150; make"
    ):
        make_folder(tmp_path / "mini").prepare(max_pixels=150)


@pytest.mark.skipif(os.name == "nt", reason="names with line breaks")
def test_a_message_is_one_line_whatever_the_dataset_holds(tmp_path: Path) -> None:
    def change(folder: MiniFolder) -> None:
        folder.instances["images"][0]["file_name"] = "a\nerror: b\x1b[31m.png"

    with pytest.raises(DatasetFaultsError) as caught:
        make_folder(tmp_path / "mini", change).prepare()
    assert all(line.isprintable() for line in caught.value.entries)
    assert "a\\nerror: b\\x1b[31m.png" in caught.value.entries[0]


@pytest.mark.parametrize("size", [(1, 1), (20_000, 10), (10, 20_000)])
def test_odd_shapes_are_in_order(size: tuple[int, int], tmp_path: Path) -> None:
    height, width = size

    def change(folder: MiniFolder) -> None:
        Image.new("RGB", (width, height)).save(folder.photo(2))
        folder.instances["images"][1] |= {"height": height, "width": width}
        folder.instances["annotations"][2]["segmentation"] = [[0, 0, width, 0, width, height, 0, height]]

    dataset = make_folder(tmp_path / "mini", change).prepare()
    assert dataset.targets.area[2] == height * width


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_photos_of_every_mode_are_in_order(mode: str, tmp_path: Path) -> None:
    def change(folder: MiniFolder) -> None:
        grey = Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10))
        image = grey.convert("I;16") if mode == "I;16" else grey.convert("RGB").convert(mode)
        image.save(folder.photo(2), "TIFF" if mode == "CMYK" else "PNG")

    assert len(make_folder(tmp_path / "mini", change).prepare().images.image_id) == 2
