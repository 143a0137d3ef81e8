import datetime
from pathlib import Path
from typing import Literal

import pytest
import yaml
from dvc.repo import Repo

from refdiff.errors import ParameterError
from refdiff.params import Device, Section, find, parse_section, read_params, read_section


class Fusion(Section):
    alpha: float
    rule: Literal["argmax", "fixed"]
    layers: tuple[str, ...]
    device: Device = "auto"
    pick: Literal["all"] | tuple[str, ...] = "all"


GOOD = {"alpha": 0.1, "rule": "argmax", "layers": ["a", "b"]}


def test_a_section_that_fits_is_typed() -> None:
    assert parse_section(Fusion, GOOD, "fusion") == Fusion(alpha=0.1, rule="argmax", layers=("a", "b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alhpa": 1.0}, r"fusion\.alhpa: unknown parameter; did you mean 'alpha'\?$"),
        ({"alpha": "0.1"}, r"fusion\.alpha: .*number.*got '0\.1'"),
        ({"alpha": True}, r"fusion\.alpha: "),
        ({"rule": "best"}, r"fusion\.rule: expected one of argmax, fixed, got 'best'$"),
        ({"rule": "fixd"}, r"fusion\.rule: expected one of argmax, fixed, got 'fixd'; did you mean 'fixed'\?$"),
        ({"rule": False}, r"fusion\.rule: .* got False, as YAML reads on, off, yes and no; write it in quotes$"),
        ({"alpha": "1e-3"}, r"fusion\.alpha: expected a number, got '1e-3', which YAML reads as text; write 0\.001$"),
        ({"alpha": datetime.date(2014, 8, 1)}, r"fusion\.alpha: .*got datetime\.date\(2014, 8, 1\), as YAML reads it"),
        ({"alpha": None, True: 1}, "fusion: key True is no text, as YAML reads it; write it in quotes"),
        ({"layers": [".inf", float("inf")]}, r"fusion\.layers\.1: expected a finite number, got inf$"),
        ({"device": "mps"}, r"fusion\.device: expected auto, cpu, cuda or cuda:N .Apple's .* not used., got 'mps'$"),
        ({"pick": 7}, r"fusion\.pick: expected all or a list, got 7$"),
        ({"pick": ["a", 7]}, r"fusion\.pick\.1: expected a string, got 7$"),
        ({"layers": "a"}, r"fusion\.layers: "),
        ({"alpha": float("nan")}, r"fusion\.alpha: expected a finite number, got nan$"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_section(Fusion, GOOD | change, "fusion")


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ParameterError, match=r"alpha: missing.*rule: missing"):
        parse_section(Fusion, {"layers": []}, "fusion")


def test_an_unknown_row_lists_the_known_ones() -> None:
    with pytest.raises(ParameterError, match="methods: no entry 'gss'; expected one of: gs, ds"):
        find({"methods": {"gs": {}, "ds": {}}}, "methods.gss")


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="run from the project's folder"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "expected a mapping"),
        ("\xff\xfea\0", r"is not text in UTF-8 .*; save it as UTF-8"),
        ("gs: {}\nds: {}\ngs: {}", "line 3: 'gs' stands in line 1 already; expected each name once"),
        ("- x\n- {a: {b: 1, b: 2}}", "line 2: 'b' stands in line 2 already"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ParameterError, match=message):
        read_params(file)


def test_a_key_that_goes_over_a_merged_one_stands_once(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, x: 3}\n", encoding="utf-8")
    assert read_params(file) == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 3}}


def test_a_section_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("fusion:\n  alpha: 0.5\n  rule: fixed\n  layers: [x]\n", encoding="utf-8")
    assert read_section(Fusion, "fusion", file).layers == ("x",)


COLLISIONS = [
    ("captures", "a", "b-c", "a-b", "c"),
    ("sources", "x", "-", "x-", ""),
    ("heat_sources", "val", "1-2", "val-1", "2"),
    ("methods", "a-a", "a", "a", "a-a"),
]


@pytest.mark.parametrize(("table", "split", "row", "other_split", "other_row"), COLLISIONS)
def test_runs_of_one_name_are_refused_by_name(
    tmp_path: Path, table: str, split: str, row: str, other_split: str, other_row: str
) -> None:
    """DVC, 3.67, drops one of two rows of a matrix that have one name, without a word."""
    file, rows = tmp_path / "params.yaml", {"splits": {split: {}, other_split: {}}, table: {row: {}, other_row: {}}}
    file.write_text(yaml.safe_dump(rows, sort_keys=False))
    said = (
        rf"split '{split}' with '{row}' of {table}, and split '{other_split}' with '{other_row}', would both be called"
    )
    with pytest.raises(ParameterError, match=said):
        read_params(file)
    file.write_text(yaml.safe_dump({**rows, "splits": {split: {}, f"{other_split}2": {}}}))
    assert table in read_params(file)


def test_dvc_drops_one_of_two_runs_of_one_name(tmp_path: Path) -> None:
    """What the refusal is there for; once this fails it may go, or names may be made otherwise."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "params.yaml").write_text("{splits: {a: 1, a-b: 2}, captures: {b-c: 1, c: 2}}")
    matrix = {"split": "${splits}", "capture": "${captures}"}
    stage = {"matrix": matrix, "cmd": "true", "outs": ["${item.split}/${item.capture}"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"extract": stage}}, sort_keys=False))
    with Repo(str(tmp_path)) as repo:
        names = [each.addressing.rpartition(":")[2] for each in repo.index.stages]
    assert sorted(names) == ["extract@a-b-b-c", "extract@a-b-c", "extract@a-c"]
