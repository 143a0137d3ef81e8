from pathlib import Path
from typing import Any

import pytest

from refdiff.dataset.tables import Dataset
from refdiff.errors import DatasetFaultsError
from tests.dataset.folder import MiniFolder, make_folder, make_ref

ROW: dict[str, object] = {"format": "grefcoco"}


def prepare(tmp_path: Path, *refs: dict[str, Any], **settings: object) -> Dataset:
    def replace(folder: MiniFolder) -> None:
        folder.refs = list(refs)

    return make_folder(tmp_path / "mini", replace).prepare(ROW, **settings)


def test_several_targets_are_their_union(tmp_path: Path) -> None:
    both = prepare(tmp_path, make_ref(1, [10, 11], 1, "val", "both"))
    assert both.targets.instances.tolist() == [2]
    alone = [prepare(tmp_path / f"{a}", make_ref(1, [a], 1, "val", "one")).targets.area[0] for a in (10, 11)]
    assert both.targets.area[0] == sum(alone)


def test_a_target_named_twice_counts_once(tmp_path: Path) -> None:
    assert prepare(tmp_path, make_ref(1, [10, 10], 1, "val", "one")).targets.instances.tolist() == [1]


@pytest.mark.parametrize("nothing", [[-1], [], -1])
def test_no_target_is_an_empty_mask(nothing: object, tmp_path: Path) -> None:
    dataset = prepare(tmp_path, make_ref(1, nothing, 1, "val", "a zebra"), make_ref(2, [10], 1, "val", "the box"))
    assert dataset.targets.instances.tolist() == [0, 1]
    assert dataset.targets.area.tolist() == [0, 30]
    assert dataset.expressions.target_index.tolist() == [0, 1]
    assert dataset.meta["counts"]["no_targets"] == 1


def test_the_flag_of_no_target_may_be_there(tmp_path: Path) -> None:
    ref = make_ref(1, [-1], 1, "val", "a zebra") | {"no_target": True}
    assert prepare(tmp_path, ref).targets.instances.tolist() == [0]


def test_refs_without_sentences_are_counted_and_passed_over(tmp_path: Path) -> None:
    dataset = prepare(tmp_path, make_ref(1, [10], 1, "val"), make_ref(2, [11], 1, "val", "right"))
    assert dataset.meta["counts"]["refs_without_sentences"] == 1
    assert dataset.meta["dropped_counts"] == {"faults": 0, "by_kind": {}, "expressions": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"ann_id": [10, -1]},
            r"ref 1: ann_id is \[10, -1\] and no_target is False; expected annotation ids, or \[-1\]",
        ),
        ({"ann_id": [-1], "no_target": False}, r"ann_id is \[-1\] and no_target is False"),
        ({"ann_id": [10], "no_target": True}, r"ann_id is \[10\] and no_target is True"),
        ({"ann_id": ["x", None]}, "ref 1: ann_id is None; expected a whole number or a text"),
        ({"ann_id": [10, 77]}, "ref 1: annotation 77 is unknown"),
        ({"ann_id": [10, 12]}, "annotation 12: belongs to image 2; expected image 1"),
    ],
)
def test_a_contradiction_is_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetFaultsError, match=message):
        prepare(tmp_path, make_ref(1, [10], 1, "val", "box") | change)


def test_refer_pickles_name_one_object(tmp_path: Path) -> None:
    with pytest.raises(DatasetFaultsError, match=r"ref 1: ann_id is \[10, 11\]; expected a whole number"):
        make_folder(tmp_path / "mini", lambda folder: folder.refs[0].update(ann_id=[10, 11])).prepare()
