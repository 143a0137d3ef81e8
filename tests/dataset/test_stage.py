"""The stage as a person runs it: a process of its own, in a project's folder."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from refdiff.dataset.tables import read_dataset
from refdiff.layout import SplitLayout
from tests.dataset.folder import PARAMS, make_folder


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def run_stage(project: Path, split: str, **settings: object) -> subprocess.CompletedProcess[str]:
    params = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    row = {
        "format": "refer",
        "folder": "mini",
        "images": "mini/images",
        "split_by": "unc",
        "split": "val",
        "benchmark": None,
    }
    params["splits"] = {"mini_val": row, "mini_unknown": row | {"split": "vall"}}
    params["prepare_dataset"] |= settings
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "stages.prepare_dataset", split],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(PARAMS.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str]) -> str:
    """The refusal's lines: exit code 2, one block that starts with `error:`, no traceback."""
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    start = result.stderr.index("error: ")
    assert result.stderr.count("error: ") == 1
    return result.stderr[start:]


def test_a_dataset_is_prepared(tmp_path: Path) -> None:
    make_folder(tmp_path / "mini").write()
    result = run_stage(tmp_path, "mini_val")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "mini_val: 2 photos, 3 true masks, 4 expressions -> artifacts/mini_val/dataset\n"
    dataset = read_dataset(SplitLayout("mini_val", tmp_path).dataset)
    assert dataset.images.path == ["mini/images/photo_1.png", "mini/images/photo_2.png"]
    assert all((tmp_path / path).is_file() for path in dataset.images.path)


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    make_folder(tmp_path / "mini").write()
    folder = SplitLayout("mini_val", tmp_path).dataset
    contents = []
    for _ in range(2):
        assert run_stage(tmp_path, "mini_val").returncode == 0
        contents.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert contents[0] == contents[1]


def test_faults_end_in_one_block_and_exit_code_2(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.photo(2).unlink()
    folder.refs[2]["ann_id"] = 99
    folder.write()
    block = assert_refused(run_stage(tmp_path, "mini_val"))
    first, *faults = block.splitlines()
    assert first.startswith(
        "error: mini_val (mini): 2 faults; correct the dataset, or set prepare_dataset.on_fault: drop"
    )
    assert [fault[:2] for fault in faults] == ["  ", "  "]
    assert not SplitLayout("mini_val", tmp_path).dataset.exists()


def test_dropped_faults_are_told(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.photo(1).unlink()
    folder.write()
    result = run_stage(tmp_path, "mini_val", on_fault="drop")
    assert result.returncode == 0, result.stderr
    assert "1 photos, 1 true masks, 1 expressions; 3 expressions dropped for 1 faults" in result.stdout
    assert "photo_1.png" in read_dataset(SplitLayout("mini_val", tmp_path).dataset).meta["dropped"][0]


def test_remarks_are_told_a_line_a_kind(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    for annotation in folder.instances["annotations"][:2]:
        annotation["segmentation"].append([1, 1, 2, 2])
    folder.write()
    result = run_stage(tmp_path, "mini_val")
    assert result.returncode == 0, result.stderr
    told = [line for line in result.stderr.splitlines() if line.startswith("mini_val: ")]
    assert len(told) == 1
    assert told[0].startswith("mini_val: broken_part: mini/instances.json: annotation 10: part 2 of 2: polygon has 4")
    assert told[0].endswith("(the first of 2, all of them in artifacts/mini_val/dataset/dataset.json)")
    assert len(read_dataset(SplitLayout("mini_val", tmp_path).dataset).meta["remarks"]["broken_part"]) == 2


def test_a_hostile_pickle_ends_in_one_line(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mini")
    folder.write()
    (folder.root / "refs(unc).p").write_bytes(pickle.dumps([*folder.refs, Runs()]))
    block = assert_refused(run_stage(tmp_path, "mini_val"))
    assert block.count("\n") == 1
    assert "nothing in it was run" in block
    assert not list(tmp_path.rglob("ran"))


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("mini_unknown", "no split 'vall'; expected one of: testA (1 refs), testAB (1 refs), val (3 refs)"),
        ("other", "splits: no entry 'other'; expected one of: mini_val, mini_unknown"),
    ],
)
def test_an_unknown_split_is_refused_in_one_line(split: str, message: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "mini").write()
    block = assert_refused(run_stage(tmp_path, split))
    assert message in block
    assert block.count("\n") == 1
