import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refdiff.clip.ramps import DIRECTIONS, apply_ramp, occurring_variants, ramp_profile, variant_of
from refdiff.errors import ParameterError


def test_paper_ramp_is_linear_from_the_stated_side() -> None:
    np.testing.assert_allclose(ramp_profile("paper_left", 5), [1, 0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(ramp_profile("paper_bottom", 3), [0, 0.5, 1])


def test_released_ramp_covers_two_thirds() -> None:
    np.testing.assert_allclose(ramp_profile("released_left", 6), [1, 2 / 3, 1 / 3, 0, 0, 0])
    np.testing.assert_allclose(ramp_profile("released_right", 6), [0, 0, 0, 1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("variant", ["released_top", "paper_middle", "left", "none", ""])
def test_unknown_variant_is_refused(variant: str) -> None:
    with pytest.raises(ParameterError, match=r"variant .*: expected none, paper_<left"):
        ramp_profile(variant, 4)


@given(st.integers(1, 40), st.sampled_from(["left", "right"]), st.sampled_from(["paper", "released"]))
def test_left_and_right_mirror_each_other(length: int, side: str, ramp: str) -> None:
    other = "right" if side == "left" else "left"
    profile = ramp_profile(f"{ramp}_{side}", length)
    assert profile.shape == (length,)
    assert profile.min() >= 0
    assert profile.max() <= 1
    np.testing.assert_allclose(profile, ramp_profile(f"{ramp}_{other}", length)[::-1], atol=1e-12)


@pytest.mark.parametrize(
    ("direction", "bright", "dark"),
    [
        ("left", (slice(None), 0), (slice(None), -1)),
        ("right", (slice(None), -1), (slice(None), 0)),
        ("top", (0, slice(None)), (-1, slice(None))),
        ("bottom", (-1, slice(None)), (0, slice(None))),
    ],
)
def test_ramp_darkens_away_from_the_direction(direction: str, bright: tuple, dark: tuple) -> None:
    photo = np.full((6, 9, 3), 200, dtype=np.uint8)
    ramped = apply_ramp(photo, f"paper_{direction}")
    assert ramped.dtype == np.uint8
    assert (ramped[bright] == 200).all()
    assert (ramped[dark] == 0).all()
    assert (photo == 200).all()


def test_ramp_rounds_down() -> None:
    photo = np.full((1, 3, 3), 255, dtype=np.uint8)
    assert apply_ramp(photo, "paper_left")[0, :, 0].tolist() == [255, 127, 0]


def test_no_ramp_is_the_photo_itself() -> None:
    photo = np.ones((2, 2, 3), dtype=np.uint8)
    assert apply_ramp(photo, "none") is photo


@pytest.mark.parametrize("variant", ["paper_left", "released_right", "paper_top"])
def test_one_pixel(variant: str) -> None:
    assert apply_ramp(np.full((1, 1, 3), 9, dtype=np.uint8), variant).shape == (1, 1, 3)


def test_variant_of_each_ramp() -> None:
    assert variant_of("none", "left", "left") == "none"
    assert variant_of("paper", "top", "none") == "paper_top"
    assert variant_of("released", "top", "none") == "none"
    assert variant_of("released", "none", "right") == "released_right"


def test_variant_of_refuses_an_unknown_direction() -> None:
    with pytest.raises(ParameterError, match=r"direction of the paper ramp: expected none or left, .* got 'middle'"):
        variant_of("paper", "middle", "none")
    with pytest.raises(ParameterError, match=r"released ramp: expected none or left, right, got 'top'"):
        variant_of("released", "none", "top")


def test_only_what_occurs() -> None:
    assert occurring_variants(["none", "paper"], ["left", "none"], ["left", "none"]) == ("none", "paper_left")
    assert occurring_variants(["released"], ["left", "left"], ["left", "left"]) == ("released_left",)
    assert occurring_variants(["none", "paper", "released"], [], []) == ()


@given(st.lists(st.tuples(st.sampled_from(["none", *DIRECTIONS]), st.sampled_from(["none", "left", "right"]))))
def test_every_expression_finds_its_variant(pairs: list[tuple[str, str]]) -> None:
    occurring = occurring_variants(["paper", "released"], [a for a, _ in pairs], [b for _, b in pairs])
    needed = {variant_of(ramp, *pair) for ramp in ("paper", "released") for pair in pairs}
    assert set(occurring) == needed
