import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from refdiff.dataset.refs import split_holds
from refdiff.dataset.tables import Dataset
from refdiff.errors import DatasetError
from refdiff.masks.rle import decode_mask
from tests.dataset.folder import MiniFolder, box_polygon, make_folder, make_ref, rectangle
from tests.dataset.python2_pickle import dump_python2


def mask_of(dataset: Dataset, ref_id: str) -> np.ndarray:
    target = dataset.targets.ref_id.index(ref_id)
    image = dataset.targets.image_index[target]
    height, width = int(dataset.images.height[image]), int(dataset.images.width[image])
    return decode_mask(dataset.targets.counts[target], height, width)


def test_a_split_becomes_tables(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    dataset = folder.prepare()
    assert dataset.images.image_id == ["1", "2"]
    assert dataset.images.path == [folder.photo(1).as_posix(), folder.photo(2).as_posix()]
    assert [dataset.images.height.tolist(), dataset.images.width.tolist()] == [[12, 10], [16, 10]]
    assert dataset.expressions.expression_id == ["100", "101", "300", "200"]
    assert dataset.expressions.ref_id == ["1", "1", "3", "2"]
    assert dataset.expressions.sentence == ["the left box", "a box", "right one", "both squares"]
    assert dataset.expressions.image_index.tolist() == [0, 0, 0, 1]
    assert dataset.expressions.target_index.tolist() == [0, 0, 1, 2]
    assert dataset.targets.ref_id == ["1", "3", "2"]
    assert dataset.targets.instances.tolist() == [1, 1, 1]
    assert dataset.targets.area.tolist() == [int(mask_of(dataset, ref).sum()) for ref in ("1", "3", "2")]
    assert np.array_equal(mask_of(dataset, "1"), rectangle(12, 16, slice(3, 9), slice(2, 7)))
    assert dataset.meta["counts"] == {
        "images": 2,
        "targets": 3,
        "no_targets": 0,
        "expressions": 4,
        "expressions_without_truth": 0,
        "refs_without_sentences": 0,
    }
    assert dataset.meta["dropped"] == []


def test_the_sentence_is_the_one_asked_for(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "mini").prepare(sentence="raw")
    assert dataset.expressions.sentence[0] == "The Left Box"
    assert dataset.meta["conventions"]["sentence"] == "raw"


@pytest.mark.parametrize(("rule", "area"), [("union", 46), ("once", 42), ("even_odd", 42)])
def test_overlapping_polygons_follow_the_rule(rule: str, area: int, tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "mini").prepare(overlapping_polygons=rule)
    assert dataset.targets.area[dataset.targets.ref_id.index("2")] == area


def test_crowds_and_refclefs_lists_of_codes_are_masks(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "mini").prepare({"split": "testA"})
    assert np.array_equal(mask_of(dataset, "4"), rectangle(8, 20, slice(2, 6), slice(3, 9)))
    halves = rectangle(8, 20, slice(0, 4), slice(0, 5)) | rectangle(8, 20, slice(4, 8), slice(10, 20))
    assert np.array_equal(mask_of(dataset, "5"), halves)


def test_masks_are_those_of_pycocotools(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)

    def scribble(folder: MiniFolder) -> None:
        for annotation in folder.instances["annotations"][:2]:
            corners = generator.uniform(0, 1, (9, 2)) * [16, 12]
            annotation["segmentation"] = [corners.round(2).reshape(-1).tolist()]

    folder = make_folder(tmp_path / "mini", scribble)
    for annotation in folder.instances["annotations"]:
        annotation["category_id"] = 1
    dataset = folder.prepare()
    coco = COCO(str(folder.root / "instances.json"))
    for ref in folder.refs[:3]:
        official = coco.annToMask(coco.anns[ref["ann_id"]]).astype(bool)
        assert np.array_equal(mask_of(dataset, str(ref["ref_id"])), official)


@pytest.mark.parametrize("protocol", [0, 2])
def test_python_2_pickles_are_read(protocol: int, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.refs[0]["sentences"][0]["sent"] = "the döner"
    expected = folder.prepare()
    for ref in folder.refs:
        for sentence in ref["sentences"]:
            sentence["tokens"] = list(sentence["tokens"])
    old = dump_python2(folder.refs, protocol)
    folder.write = lambda: (folder.root / "refs(unc).p").write_bytes(old)  # pyright: ignore[reportAttributeAccessIssue]
    again = folder.prepare()
    assert again.expressions.sentence == expected.expressions.sentence
    assert again.expressions.sentence[0] == "the döner"
    assert again.targets.counts == expected.targets.counts


def test_refs_in_json_are_read_where_there_is_no_pickle(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    (folder.root / "refs(umd).json").write_text(json.dumps(folder.refs), encoding="utf-8")
    assert len(folder.prepare({"split_by": "umd"}).expressions.sentence) == 4


@pytest.mark.parametrize("split_by", ["unc", "umd", "google", "berkeley"])
def test_the_author_of_the_split_names_the_file(split_by: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    (folder.root / f"refs({split_by}).p").write_bytes(pickle.dumps(folder.refs))
    assert len(folder.prepare({"split_by": split_by}).expressions.sentence) == 4


def test_photos_of_refclef_lie_in_folders(tmp_path: Path) -> None:
    def move(folder: MiniFolder) -> None:
        (folder.images / "00" / "images").mkdir(parents=True)
        folder.photo(2).rename(folder.images / "00" / "images" / "25.png")
        folder.instances["images"][1]["file_name"] = "00/images/25.png"

    assert make_folder(tmp_path / "mini", move).prepare().images.path[1].endswith("images/00/images/25.png")


@pytest.mark.parametrize(
    ("wanted", "splits"),
    [
        ("val", {"val"}),
        ("testA", {"testA", "testAB", "testAC"}),
        ("testB", {"testB", "testAB"}),
        ("testC", {"testC", "testAC"}),
        ("testAB", {"testAB"}),
        ("test", {"test", "testA", "testB", "testC", "testAB", "testAC"}),
        ("train", {"train"}),
    ],
)
def test_splits_hold_what_refer_says(wanted: str, splits: set[str]) -> None:
    known = ["train", "val", "test", "testA", "testB", "testC", "testAB", "testAC", "Atest"]
    assert {split for split in known if split_holds(wanted, split)} == splits


def test_an_unknown_split_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no split 'vall'; expected one of: testA \(1 refs\), testAB .*, val \(3 refs\)"
    ):
        make_folder(tmp_path / "mini").prepare({"split": "vall"})


def test_an_unknown_author_names_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"has no refs\(umd\)\.p or \.json; expected one of: grefs\(unc\)\.json, refs\(unc\)\.p"
    ):
        make_folder(tmp_path / "mini").prepare({"split_by": "umd"})


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="gone: is not a folder; expected the dataset's; correct `folder`"):
        make_folder(tmp_path / "mini").prepare({"folder": str(tmp_path / "gone")})


def test_both_broken_files_are_named_together(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    (folder.root / "refs(unc).p").write_bytes(b"")
    (folder.root / "instances.json").write_text('{"images": [', encoding="utf-8")
    folder.write = lambda: None
    with pytest.raises(
        DatasetError, match=r"(?s)2 faults.*refs\(unc\)\.p: is not a whole pickle.*instances\.json: is not JSON"
    ):
        folder.prepare()


def test_a_photo_without_orientation_keeps_its_frame_and_a_turned_one_is_turned(tmp_path: Path) -> None:
    """Annotations made on the stored pixels, or on the photo as it is shown, give the same mask in the shown frame."""

    def turn(folder: MiniFolder) -> None:
        photo = Image.open(folder.photo(1))
        exif = photo.getexif()
        exif[0x0112] = 6
        photo.save(folder.photo(1), exif=exif)

    def annotate_as_shown(folder: MiniFolder) -> None:
        turn(folder)
        folder.instances["images"][0] |= {"height": 16, "width": 12}
        # A clockwise quarter turn of a 12 x 16 photo takes (x, y) to (12 - y, x).
        folder.instances["annotations"][0]["segmentation"] = [box_polygon(12 - 9, 2, 12 - 3, 7)]
        folder.instances["annotations"][1]["segmentation"] = [box_polygon(12 - 5.5, 9, 12 - 1, 15)]

    stored = make_folder(tmp_path / "stored", turn).prepare()
    shown = make_folder(tmp_path / "shown", annotate_as_shown).prepare()
    for dataset in (stored, shown):
        assert (dataset.images.height[0], dataset.images.width[0]) == (16, 12)
        assert np.array_equal(mask_of(dataset, "1"), rectangle(16, 12, slice(2, 7), slice(3, 9)))


def test_extra_refs_of_one_object_have_targets_of_their_own(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.refs.append(make_ref(9, 10, 1, "val", "again"))
    dataset = folder.prepare()
    assert dataset.targets.ref_id == ["1", "3", "9", "2"]
    assert dataset.targets.counts[0] == dataset.targets.counts[2]
