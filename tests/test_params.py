from pathlib import Path
from typing import Literal

import pytest

from refdiff.errors import ParameterError
from refdiff.params import Section, find, parse_section, read_params, read_section


class Fusion(Section):
    alpha: float
    rule: Literal["argmax", "fixed"]
    layers: tuple[str, ...]


GOOD = {"alpha": 0.1, "rule": "argmax", "layers": ["a", "b"]}


def test_a_section_that_fits_is_typed() -> None:
    assert parse_section(Fusion, GOOD, "fusion") == Fusion(alpha=0.1, rule="argmax", layers=("a", "b"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alhpa": 1.0}, r"fusion\.alhpa: unknown parameter"),
        ({"alpha": "0.1"}, r"fusion\.alpha: .*number.*got '0\.1'"),
        ({"alpha": True}, r"fusion\.alpha: "),
        ({"rule": "best"}, r"fusion\.rule: .*'argmax' or 'fixed', got 'best'"),
        ({"layers": "a"}, r"fusion\.layers: "),
        ({"alpha": float("nan")}, "fusion: "),
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
    ("text", "message"), [("a: [", "is not YAML"), ("- 1", "expected a mapping"), ("\xff", "YAML")]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ParameterError, match=message):
        read_params(file)


def test_a_section_is_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("fusion:\n  alpha: 0.5\n  rule: fixed\n  layers: [x]\n", encoding="utf-8")
    assert read_section(Fusion, "fusion", file).layers == ("x",)
