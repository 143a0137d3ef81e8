import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.errors import ParameterError
from refdiff.sweep.axes import draw_points, make_grid, parse_axis, weigh
from tests.fusion.rows import PAPER


def test_a_grid_has_both_its_ends_and_no_rounding() -> None:
    assert parse_axis("beta=0:0.3:0.1").values == (0.0, 0.1, 0.2, 0.3)
    assert parse_axis("beta=0:1:0.4").values == (0.0, 0.4, 0.8)
    assert parse_axis("text_local.head=0.5,0.25").values == (0.5, 0.25)


def test_grids_are_combined_the_last_axis_fastest() -> None:
    axes = [parse_axis("beta=0,1"), parse_axis("generative_weight=1:3:1")]
    assert make_grid(axes) == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]


@given(st.integers(0, 99), st.integers(1, 50))
def test_drawn_points_lie_in_their_ranges_and_are_those_of_their_seed(seed: int, count: int) -> None:
    axes = [parse_axis("beta=0.2:0.4"), parse_axis("generative_weight=1,3")]
    points = draw_points(axes, count, seed)
    assert points == draw_points(axes, count, seed)
    assert len(points) == count
    assert all(0.2 <= beta <= 0.4 and weight in (1, 3) for beta, weight in points)


def test_a_row_gets_the_values() -> None:
    axes = [parse_axis("beta=0.4,0.5"), parse_axis("text_global.head=0,1")]
    method = weigh(PAPER, axes, (0.4, 1.0), "methods.x")
    assert (method.beta, method.text_global.head, method.text_global.expression) == (0.4, 1.0, 0.5)
    assert method.model_dump(exclude={"beta", "text_global"}) == weigh(PAPER, [], [], "methods.x").model_dump(
        exclude={"beta", "text_global"}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("min_area_px=0:9:1", "--set min_area_px: expected one of generative_weight"),
        ("beta", "expected FIELD=LOW:HIGH:STEP"),
        ("beta=a,b", "expected FIELD=LOW:HIGH:STEP"),
        ("beta=0:1:0", "expected FIELD=LOW:HIGH:STEP"),
        ("beta=1:0:0.1", "expected FIELD=LOW:HIGH:STEP"),
        ("beta=0:1:0.1,2", "expected FIELD=LOW:HIGH:STEP"),
        ("beta=0:1:1e-9", "at most 100000 values"),
        ("beta=nan", "expected FIELD=LOW:HIGH:STEP"),
    ],
)
def test_what_is_not_an_axis_is_refused(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_axis(text)


def test_what_makes_no_grid_is_refused() -> None:
    with pytest.raises(ParameterError, match="add a step, or --random"):
        make_grid([parse_axis("beta=0:1")])
    with pytest.raises(ParameterError, match="beta: is given twice"):
        make_grid([parse_axis("beta=0,1"), parse_axis("beta=0,1")])
    with pytest.raises(ParameterError, match="at least one field"):
        make_grid([])
    with pytest.raises(ParameterError, match="--random: expected 1 to"):
        draw_points([parse_axis("beta=0:1")], 0, 0)


def test_a_value_out_of_range_names_its_weighting() -> None:
    with pytest.raises(ParameterError, match=r"methods.x with beta 2\.beta"):
        weigh(PAPER, [parse_axis("beta=2,3")], (2.0,), "methods.x")
