import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.attention.maps import MapKey
from refdiff.errors import ParameterError, StoreMismatchError
from refdiff.heat.readout import ReadoutSettings, head_rule, pick_maps, read_readout, token_positions
from refdiff.params import find, parse_section, read_params

PAPER = {
    "capture": "paper",
    "token_rule": "root",
    "piece": "last",
    "layers": "all",
    "steps": "all",
    "normalize": "mean_then_minmax",
    "upsampling": "bilinear",
    "round_to_8_bit": False,
}
KEYS = {
    (8, 8): tuple(MapKey(step, order, f"down.{order}", 8, 8) for step in (0, 1) for order in (0, 2)),
    (4, 4): tuple(MapKey(step, 1, "mid", 4, 4) for step in (0, 1)),
}


def _readout(**changes: object) -> ReadoutSettings:
    return parse_section(ReadoutSettings, {**PAPER, **changes}, "readouts.test")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (4,)),
        ({"piece": "first"}, (2,)),
        ({"piece": "mean"}, (2, 3, 4)),
        ({"token_rule": "all_tokens"}, (1, 2, 3, 4, 5, 6)),
    ],
    ids=["last", "first", "mean", "all tokens"],
)
def test_token_positions(changes: dict, expected: tuple[int, ...]) -> None:
    assert token_positions(_readout(**changes), first=2, last=4, tokens=6) == expected


@pytest.mark.parametrize("span", [(0, 1), (3, 2), (2, 7)])
def test_a_span_outside_the_sentence_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(StoreMismatchError, match="expected within 1 to 6"):
        token_positions(_readout(), *span, tokens=6)


@given(st.integers(1, 75), st.integers(0, 10), st.integers(0, 10), st.sampled_from(["last", "first", "mean"]))
def test_positions_lie_inside_the_word(first: int, more: int, after: int, piece: str) -> None:
    last = first + more
    positions = token_positions(_readout(piece=piece), first, last, last + after)
    assert set(positions) <= set(range(first, last + 1))
    assert len(positions) == (more + 1 if piece == "mean" else 1)


def test_head_rule() -> None:
    rules = [head_rule(_readout(token_rule=rule)) for rule in ("root", "root_or_subject", "all_tokens")]
    assert rules == ["root", "root_or_subject", "root"]


def test_pick_everything() -> None:
    assert pick_maps(KEYS, _readout()) == {(8, 8): [0, 1, 2, 3], (4, 4): [0, 1]}


def test_pick_layers_sizes_and_steps() -> None:
    assert pick_maps(KEYS, _readout(layers=["down.2", "mid"], steps=[1])) == {(8, 8): [3], (4, 4): [1]}
    assert pick_maps(KEYS, _readout(layers={"map_px": [8]})) == {(8, 8): [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": ["up.9"]}, "up.9 not in capture 'paper'; expected some of: down.0, down.2, mid"),
        ({"layers": {"map_px": [16]}}, "layers.map_px: 16 not in capture"),
        ({"steps": [2]}, "steps: 2 not in capture"),
    ],
    ids=["layer", "size", "step"],
)
def test_what_was_not_captured_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        pick_maps(KEYS, _readout(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": []}, "layers"),
        ({"layers": ["mid", "mid"]}, "given twice"),
        ({"steps": [-1]}, "greater than or equal to 0"),
        ({"token_rule": "noun"}, "token_rule"),
        ({"epsilon": 1.0}, "unknown parameter"),
    ],
    ids=["no layers", "repeat", "negative", "rule", "unknown"],
)
def test_settings_out_of_range_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        _readout(**changes)


def test_a_capture_that_is_no_row_is_refused_by_name() -> None:
    params = {"captures": {"paper": {}, "released": {}}, "readouts": {"one": {**PAPER, "capture": "papr"}}}
    with pytest.raises(ParameterError, match=r"readouts\.one\.capture: no capture 'papr'; expected one of: paper, rel"):
        read_readout(params, "one")


def test_the_shipped_rows_are_valid() -> None:
    rows = find(read_params(), "readouts")
    assert isinstance(rows, dict)
    for name, row in rows.items():
        parse_section(ReadoutSettings, row, f"readouts.{name}")
