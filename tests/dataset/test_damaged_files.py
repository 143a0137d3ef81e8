"""Annotation files with bytes or values changed at random are read or refused, never a crash."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff.dataset.prepare import prepare_dataset
from refdiff.errors import RefdiffError
from tests.dataset.folder import MiniFolder, box_polygon, make_folder, shipped_settings, split_row
from tests.fuzzing import count_examples

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "size", "counts", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
byte_changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5)
faults = st.sampled_from(["refuse", "drop"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> MiniFolder:
    return make_folder(tmp_path_factory.mktemp("damaged") / "mini")


def replace_somewhere(value: Any, steps: list[int], new: object) -> Any:
    """A copy of JSON in which the value that a walk by `steps` ends at is another."""
    if not steps or not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[steps[0] % len(keys)]
    changed = copy.copy(value)
    changed[key] = replace_somewhere(value[key], steps[1:], new)
    return changed


def damage(data: bytes, changes: list[tuple[float, int]]) -> bytes:
    broken = bytearray(data)
    for where, value in changes:
        broken[int(where * len(broken))] = value
    return bytes(broken)


def run(folder: MiniFolder, on_fault: str, **row: object) -> None:
    """The stage's core; anything but a result or a refusal is a defect."""
    try:
        dataset = prepare_dataset("mini", split_row(folder.root, **row), shipped_settings(on_fault=on_fault))
    except RefdiffError as error:
        assert str(error)  # noqa: PT017 - which damage is harmless is not known beforehand
    else:
        assert len(dataset.expressions.sentence) > 0
        json.dumps(dataset.meta).encode()


@settings(max_examples=count_examples(80), deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), json_values, faults)
def test_values_of_instances(folder: MiniFolder, steps: list[int], new: object, on_fault: str) -> None:
    folder.write()
    changed = replace_somewhere(folder.instances, steps, new)
    (folder.root / "instances.json").write_text(json.dumps(changed), encoding="utf-8")
    run(folder, on_fault)


@settings(max_examples=count_examples(80), deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=5), json_values, faults)
def test_values_of_grefcocos_refs(folder: MiniFolder, steps: list[int], new: object, on_fault: str) -> None:
    folder.write()
    changed = replace_somewhere(folder.refs, steps, new)
    (folder.root / "grefs(unc).json").write_text(json.dumps(changed), encoding="utf-8")
    run(folder, on_fault, format="grefcoco")


@settings(max_examples=count_examples(80), deadline=None)
@given(st.sampled_from(["refs(unc).p", "instances.json"]), byte_changes, faults)
def test_bytes_of_refer_files(folder: MiniFolder, name: str, changes: list[tuple[float, int]], on_fault: str) -> None:
    folder.write()
    file = folder.root / name
    file.write_bytes(damage(file.read_bytes(), changes))
    run(folder, on_fault)


LINES = [
    {"image": "photo_1.png", "sentence": "the box", "mask": [box_polygon(1, 1, 9, 9)], "ref_id": 1},
    {"image": "photo_1.png", "sentence": "the böx", "ref_id": 1, "id": "x"},
    {"image": "photo_2.png", "sentence": "all", "mask": {"size": [10, 10], "counts": [0, 100]}, "image_id": 4},
    {"image": "photo_2.png", "sentence": "none", "no_target": True, "image_id": 4},
]


@settings(max_examples=count_examples(80), deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), json_values, byte_changes | st.just([]), faults)
def test_lines_of_jsonl(
    folder: MiniFolder, steps: list[int], new: object, changes: list[tuple[float, int]], on_fault: str
) -> None:
    lines = replace_somewhere(LINES, steps, new) if not changes else LINES
    text = "\n".join(json.dumps(line) for line in lines) if isinstance(lines, list) else json.dumps(lines)
    (folder.root / "val.jsonl").write_bytes(damage(text.encode(), changes))
    run(folder, on_fault, format="jsonl", split_by=None)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"images": ' * 50_000, "1" * 10_000, '"\ud83d"'])
def test_hostile_json_is_refused(folder: MiniFolder, text: str) -> None:
    folder.write()
    (folder.root / "instances.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(RefdiffError, match=r"instances\.json: (is not JSON|is not text in UTF-8|expected a mapping)"):
        prepare_dataset("mini", split_row(folder.root), shipped_settings(on_fault="drop"))
