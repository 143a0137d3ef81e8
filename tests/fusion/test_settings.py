import pytest

from refdiff.errors import ParameterError
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings, check_source
from refdiff.params import find, read_params, read_section
from tests.fusion.rows import ARGMAX, PAPER, make_method


def test_the_shipped_methods_are_valid_and_have_their_sources() -> None:
    params = read_params()
    tables = {name: find(params, name) for name in ("methods", "sources", "heat_sources", "readouts")}
    assert all(isinstance(table, dict) for table in tables.values())
    methods, sources, heat_sources, readouts = (list(table) for table in tables.values())  # type: ignore[call-overload]
    assert {"ref-diff", "gs", "ds", "ref-diff-plus", "released"} <= set(methods)
    for name in methods:
        method = read_section(MethodSettings, f"methods.{name}")
        check_source(name, method, sources, heat_sources)
        assert method.readout is None or method.readout in readouts
    assert read_section(FuseScoresSettings, "fuse_scores").pool_masks


def test_the_shipped_weights_are_those_of_the_paper_and_of_the_released_code() -> None:
    paper = read_section(MethodSettings, "methods.ref-diff-plus")
    assert (paper.generative_weight, paper.discriminative_weight, paper.beta) == (0.1, 0.9, 0.3)
    released = read_section(MethodSettings, "methods.released")
    assert (released.generative_weight, released.discriminative_weight, released.beta) == (0.05, 1.0, 0.3)
    assert released.keep_largest == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generative_weight": 0.0, "discriminative_weight": 0.0}, "both weights are 0"),
        ({"readout": None}, "readout is null"),
        ({"generative_weight": -0.1}, "greater than or equal to 0"),
        ({"beta": 1.5}, "less than or equal to 1"),
        ({"keep_largest": 0}, "greater than or equal to 1"),
        ({"select": {**ARGMAX, "rule": "fixed"}}, "threshold must be a number where rule is fixed"),
        ({"select": {**ARGMAX, "threshold": 0.5}}, "threshold must be null where rule is argmax"),
        ({"select": {**ARGMAX, "rule": "area"}}, "area_power must be a number where rule is area"),
        ({"select": {**ARGMAX, "rule": "largest"}}, "select.rule"),
        (
            {"select": {**ARGMAX, "rule": "area", "area_power": 1.0}, "generative_weight": 0.0},
            "whose weight is 0",
        ),
        ({"alpha": 0.1}, "methods.test.alpha: unknown parameter"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        make_method(PAPER, **changes)


def test_a_source_that_is_not_there_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"methods.gs.proposals: no source 'regions'; expected one of: sam, weak"):
        check_source("gs", make_method(PAPER), ["sam"], ["weak"])


def test_clip_on_a_heat_source_is_refused() -> None:
    with pytest.raises(ParameterError, match="heat source, whose masks have no CLIP embeddings"):
        check_source("mine", make_method(PAPER, proposals="weak"), ["regions"], ["weak"])


def test_every_rule_says_what_it_is() -> None:
    rows = [
        ARGMAX,
        {**ARGMAX, "rule": "fixed", "threshold": 0.3},
        {**ARGMAX, "rule": "otsu"},
        {**ARGMAX, "rule": "area", "area_power": 0.5},
    ]
    said = [make_method(PAPER, select=row).select.describe() for row in rows]
    assert len(set(said)) == 4
    assert "0.3" in said[1]
    assert "Otsu" in said[2]
    assert "0.5" in said[3]
