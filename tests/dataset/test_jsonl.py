import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refdiff.dataset.prepare import prepare_dataset
from refdiff.dataset.tables import Dataset
from refdiff.errors import DatasetError, DatasetFaultsError
from refdiff.masks.rle import decode_mask
from tests.dataset.folder import (
    MiniFolder,
    box_polygon,
    compressed_code,
    make_folder,
    plain_code,
    rectangle,
    shipped_settings,
    split_row,
)

BOX = rectangle(12, 16, slice(3, 9), slice(2, 7))
LINE: dict[str, Any] = {"image": "photo_1.png", "sentence": "the box"}


@pytest.fixture
def folder(tmp_path: Path) -> MiniFolder:
    return make_folder(tmp_path / "mini")


def prepare(folder: MiniFolder, *lines: dict[str, Any] | str, **settings: object) -> Dataset:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    (folder.root / "val.jsonl").write_text(text + "\n", encoding="utf-8")
    row = split_row(folder.root, format="jsonl", split_by=None)
    return prepare_dataset("mine", row, shipped_settings(**settings))


@pytest.mark.parametrize(
    "mask",
    [[box_polygon(2, 3, 7, 9)], plain_code(BOX), compressed_code(BOX), [compressed_code(BOX)], "masks/box.png"],
    ids=["polygons", "plain code", "compressed code", "list of codes", "png"],
)
def test_every_form_of_mask_is_the_same(mask: object, folder: MiniFolder) -> None:
    (folder.root / "masks").mkdir()
    Image.fromarray(BOX.astype(np.uint8) * 255).save(folder.root / "masks" / "box.png")
    dataset = prepare(folder, LINE | {"mask": mask})
    assert np.array_equal(decode_mask(dataset.targets.counts[0], 12, 16), BOX)
    assert dataset.targets.area.tolist() == [30]


def test_the_mask_is_optional(folder: MiniFolder) -> None:
    dataset = prepare(folder, LINE, LINE | {"mask": plain_code(BOX)}, LINE | {"mask": None})
    assert dataset.expressions.target_index.tolist() == [-1, 0, -1]
    assert dataset.meta["counts"]["expressions_without_truth"] == 2
    assert dataset.meta["counts"]["targets"] == 1


def test_no_target_is_an_empty_mask(folder: MiniFolder) -> None:
    dataset = prepare(folder, LINE | {"no_target": True})
    assert dataset.targets.instances.tolist() == [0]
    assert not decode_mask(dataset.targets.counts[0], 12, 16).any()


def test_ids_are_given_or_made(folder: MiniFolder) -> None:
    other = {"image": "photo_2.png", "sentence": "squares", "id": "s2", "ref_id": 5, "image_id": "second"}
    dataset = prepare(folder, LINE, "", other, LINE)
    assert dataset.expressions.expression_id == ["1", "4", "s2"]
    assert dataset.expressions.ref_id == ["1", "4", "5"]
    assert dataset.images.image_id == ["photo_1.png", "second"]
    assert dataset.images.path[1] == folder.photo(2).as_posix()
    assert dataset.expressions.image_index.tolist() == [0, 0, 1]


def test_lines_of_one_ref_share_their_mask(folder: MiniFolder) -> None:
    ref = LINE | {"ref_id": "box"}
    dataset = prepare(folder, ref, ref | {"mask": plain_code(BOX)}, ref | {"mask": plain_code(BOX)}, ref)
    assert dataset.expressions.target_index.tolist() == [0, 0, 0, 0]
    assert dataset.targets.ref_id == ["box"]


def test_a_byte_order_mark_and_emoji_are_fine(folder: MiniFolder) -> None:
    dataset = prepare(folder, "\ufeff" + json.dumps(LINE | {"sentence": "🐶🐶"}), LINE | {"sentence": "word " * 200})
    assert dataset.expressions.sentence == ["🐶🐶", "word " * 200]


def test_masks_of_turned_photos_go_by_their_size(folder: MiniFolder) -> None:
    photo = Image.open(folder.photo(1))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(folder.photo(1), exif=exif)
    shown = np.rot90(BOX, -1)
    Image.fromarray(BOX).save(folder.root / "stored.png")
    Image.fromarray(shown).save(folder.root / "shown.png")
    masks = [plain_code(BOX), plain_code(shown), "stored.png", "shown.png", [box_polygon(3, 2, 9, 7)]]
    dataset = prepare(folder, *(LINE | {"mask": mask} for mask in masks))
    for counts in dataset.targets.counts:
        assert np.array_equal(decode_mask(counts, 16, 12), shown)
    (line,) = dataset.meta["remarks"]["frame"]
    assert "photo_1.png): photo has EXIF orientation 6" in line
    assert prepare(folder, LINE | {"mask": plain_code(BOX)}).meta["remarks"] == {}


def test_polygons_of_the_stored_frame_are_not_taken_for_those_of_the_shown(folder: MiniFolder) -> None:
    photo = Image.open(folder.photo(1))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(folder.photo(1), exif=exif)
    line = LINE | {"mask": [box_polygon(2, 3, 16, 9)]}
    with pytest.raises(
        DatasetFaultsError, match=r"polygons fit the photo as stored, 16 x 12 .*orientation 6; .*set stored"
    ):
        prepare(folder, line)
    counts = prepare(folder, line, annotation_frame="stored").targets.counts[0]
    expected = np.rot90(rectangle(12, 16, slice(3, 9), slice(2, 16)), -1)
    assert np.array_equal(decode_mask(counts, 16, 12), expected)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"val\.jsonl: line 1: is not JSON"),
        ("[1, 2]", r"line 1: expected a mapping, got \[1, 2\]"),
        ({"sentence": "x"}, "line 1: has no 'image'; expected it among its fields, got sentence"),
        ({"image": "photo_1.png"}, "line 1: has no 'sentence'"),
        (LINE | {"image": 3}, "line 1: image is 3; expected a text"),
        (LINE | {"sentence": "  "}, "line 1: sentence is '  ', empty or blank; expected words; correct or remove"),
        (LINE | {"sentence": 9}, "line 1: sentence is 9; expected text"),
        (LINE | {"masks": []}, "line 1: unknown key 'masks'; expected image, sentence, mask.*; call it 'mask'"),
        ({"image": "photo_1.png", "caption": "x"}, "unknown key 'caption'; .*; call it 'sentence'"),
        ({"file_name": "photo_1.png", "sentence": "x"}, "unknown key 'file_name'; .*; call it 'image'"),
        ({"image": "photo_1.png", "sentences": ["x"]}, "unknown key 'sentences'; .*; call it 'sentence'"),
        (LINE | {"mask": ""}, "file name '' is empty, absolute or leaves the folder"),
        (LINE | {"bbox": [1, 2, 3, 4]}, "unknown key 'bbox'; .*; remove it"),
        (LINE | {"mask": [1, 2, 3, 4]}, "polygon is 1; expected a list of polygons, .*, not a polygon or box alone"),
        (LINE | {"mask": [box_polygon(0.1, 0.2, 0.5, 0.9)]}, "line 1: segmentation has no number beyond 1"),
        (LINE | {"mask": BOX.tolist()}, "line 1: segmentation is a matrix of 12 x 16 pixels"),
        (LINE | {"sentence": ["a", "b"]}, "sentence is a list of 2; expected text, one in a record"),
        (LINE | {"image": "http://x.org/a.png"}, "line 1: 'http://x.org/a.png' is an address"),
        ('{"image": "photo_1.png", "sentence": "a", "sentence": "b"}', "a mapping has the key 'sentence' twice"),
        (LINE | {"id": 1.5}, "line 1: id is 1.5; expected a whole number or a text"),
        (LINE | {"mask": []}, "line 1: segmentation is empty"),
        (LINE | {"mask": [[2, 2, 2, 2, 2, 2]]}, "line 1: the mask has no pixels"),
        (
            LINE | {"mask": {"size": [5, 5], "counts": [25]}},
            "line 1: run-length code: photo is 12 x 16 .*expected 5 x 5",
        ),
        (LINE | {"mask": "gone.png"}, r"line 1: .*gone\.png: image is not there"),
        (LINE | {"mask": "../x.png"}, "line 1: file name '../x.png' is empty, absolute or leaves the folder"),
        (LINE | {"image": "/etc/passwd"}, "line 1: file name '/etc/passwd' is empty, absolute or leaves"),
        (LINE | {"image": "gone.png"}, r"gone\.png \(image gone\.png\): image is not there"),
        (LINE | {"image": "a\n.png"}, r"a\\n\.png \(image a\\n\.png\): image is not there"),
        (LINE | {"image": "n" * 500}, "image cannot be read"),
        (
            LINE | {"no_target": True, "mask": [[1]]},
            "no_target is True and mask is a list of 1; expected a mask, or no_target",
        ),
        (LINE | {"no_target": 1}, "no_target is 1"),
    ],
)
def test_a_faulty_line_is_named(line: dict[str, Any] | str, message: str, folder: MiniFolder) -> None:
    with pytest.raises(DatasetFaultsError, match=message) as caught:
        prepare(folder, line)
    assert len(caught.value.entries) == 1
    assert "\n" not in caught.value.entries[0]


def test_a_line_in_an_older_encoding_is_named(folder: MiniFolder) -> None:
    (folder.root / "val.jsonl").write_bytes(b'{"image": "photo_1.png", "sentence": "caf\xe9"}\n')
    with pytest.raises(
        DatasetFaultsError, match=r"line 1: is not text in UTF-8 \(byte 0xe9 at 41\); .*save it as UTF-8"
    ):
        folder.prepare({"format": "jsonl", "split_by": None})


def test_a_photo_has_one_id_however_its_name_is_spelt(folder: MiniFolder) -> None:
    dataset = prepare(folder, LINE, LINE | {"image": "./photo_1.png"})
    assert dataset.images.image_id == ["photo_1.png"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([LINE | {"id": 7}, LINE | {"id": "7"}], "line 2: id 7 was there before"),
        ([LINE | {"id": 2}, LINE], "line 2: id 2 was there before"),
        (
            [LINE | {"image_id": 1}, {**LINE, "image": "photo_2.png", "image_id": 1}],
            "line 2: image_id 1 is .*photo_2.png; expected",
        ),
        (
            [LINE | {"ref_id": 1}, {**LINE, "image": "photo_2.png", "ref_id": 1}],
            "line 2: ref_id 1 is on image photo_2.png",
        ),
        (
            [LINE | {"ref_id": 1, "mask": plain_code(BOX)}, LINE | {"ref_id": 1, "mask": plain_code(~BOX)}],
            "line 2: ref_id 1 has another mask than before",
        ),
    ],
)
def test_ids_used_twice_are_named(lines: list[dict[str, Any]], message: str, folder: MiniFolder) -> None:
    with pytest.raises(DatasetFaultsError, match=message):
        prepare(folder, *lines)
    dataset = prepare(folder, *lines, on_fault="drop")
    assert dataset.meta["dropped_counts"]["expressions"] == 1
    assert len(dataset.expressions.sentence) == 1


def test_an_unknown_split_names_the_files_that_exist(folder: MiniFolder) -> None:
    (folder.root / "mine.jsonl").touch()
    row = split_row(folder.root, format="jsonl", split_by=None)
    with pytest.raises(DatasetError, match=r"val\.jsonl: cannot be read .* expected a split among: mine; correct"):
        prepare_dataset("mine", row, shipped_settings())


def test_where_no_file_is_the_form_of_one_is_shown(folder: MiniFolder) -> None:
    with pytest.raises(DatasetError, match=r'val\.jsonl: .* expected lines such as {"image": "a\.jpg", .*; write it$'):
        prepare_dataset("mine", split_row(folder.root, format="jsonl", split_by=None), shipped_settings())


def test_an_empty_file_is_refused(folder: MiniFolder) -> None:
    with pytest.raises(DatasetError, match="no expression is left of 0; expected one at least; the split is empty"):
        prepare(folder, "")
