from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refdiff.errors import ParameterError
from refdiff.fusion.candidates import find_candidates
from refdiff.fusion.choice import NO_CHOICE, choose, decide, otsu_threshold, restrict_thresholds, weigh_area
from refdiff.fusion.scores import Scores, attention_contrast
from refdiff.fusion.settings import MethodSettings
from refdiff.proposals.settings import ThresholdSettings
from refdiff.proposals.threshold import cut_heat
from tests.fusion.rows import ARGMAX, PAPER, make_method
from tests.parity_cases import NAMES, load_case

MU = np.arange(1, 20) / 20


def _scores(contrast: np.ndarray, weight: float = 1.0) -> Scores:
    nothing = np.full(len(contrast), np.nan)
    return Scores(weight * contrast, contrast, nothing, nothing, nothing)


def _decide(method: MethodSettings, scores: Scores, areas: np.ndarray, pixels: int, **others: Any) -> int:
    """What is chosen when all are candidates."""
    return int(decide(method, scores, np.ones(len(areas), np.bool_), areas, pixels, **others))


def _two_levels(seed: int) -> np.ndarray:
    """Heat with a bright disc (about 12 % of the photo) on a dim ground, both noisy."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :40]
    heat = np.where((y - 20) ** 2 + (x - 15) ** 2 < 64, 0.62, 0.2) + rng.normal(0, 0.03, (40, 40))
    heat[19:21, 14:16] = 1.0  # a sliver that the literal rule runs to
    return np.clip(heat, 0, 1)


def _weak(heat: np.ndarray, **select: object) -> tuple[int, np.ndarray]:
    """What a rule chooses among the 19 masks of the paper."""
    masks = np.stack([heat >= mu for mu in MU])
    areas = masks.sum(axis=(1, 2))
    kept = find_candidates(areas, heat.size, None, 0)
    contrast = attention_contrast(heat, masks[kept])
    method = make_method(PAPER, generative_weight=1.0, discriminative_weight=0.0, select={**ARGMAX, **select})
    index = _decide(method, _scores(contrast), areas[kept], heat.size, thresholds=MU[kept], otsu=otsu_threshold(heat))
    return int(np.flatnonzero(kept)[index]), areas


def test_choose_takes_the_best_candidate_and_the_first_of_equals() -> None:
    scores = np.array([-5.0, -1.0, -1.0, -2.0])
    assert choose(scores, np.array([True, True, True, True])) == 1
    assert choose(scores, np.array([True, False, True, True])) == 2
    assert choose(scores, np.array([True, False, False, True])) == 3
    assert choose(scores, np.zeros(4, np.bool_)) == NO_CHOICE


@pytest.mark.parametrize("name", NAMES)
def test_choice_of_the_released_scores(name: str) -> None:
    case = load_case(name)
    kept = find_candidates(case.masks.sum(axis=(1, 2)), case.masks[0].size, 10, 0)
    assert (kept == case.values["kept"]).all()
    chosen, released = choose(case.values["score"], kept), int(case.values["chosen"])
    if kept[released]:
        assert chosen == released
    else:  # all scores are negative, and a filtered proposal, which scores 0 there, wins: the released defect
        assert (case.values["score"][kept] < 0).all()
        assert chosen == np.flatnonzero(kept)[case.values["score"][kept].argmax()]


def test_the_literal_rule_runs_to_a_sliver_and_the_others_do_not() -> None:
    heat = _two_levels(0)
    disc = 197
    literal, areas = _weak(heat)
    assert areas[literal] <= 8
    for select in (
        {"rule": "area", "area_power": 0.5},
        {"rule": "otsu"},
        {"rule": "fixed", "threshold": 0.4},
    ):
        index, _ = _weak(heat, **select)
        assert abs(areas[index] - disc) < 20, select


@pytest.mark.parametrize("seed", range(20))
def test_area_rule_at_one_half_is_otsu_among_the_thresholds(seed: int) -> None:
    heat = _two_levels(seed)
    index, _ = _weak(heat, rule="area", area_power=0.5)
    variance = [
        (heat >= mu).mean() * (heat < mu).mean() * (heat[heat >= mu].mean() - heat[heat < mu].mean()) ** 2
        if 0 < (heat >= mu).mean() < 1
        else 0.0
        for mu in MU
    ]
    assert index == int(np.argmax(variance))


@given(arrays(np.float64, (9, 9), elements=st.floats(0, 1)))
def test_otsu_separates_best_of_all_bin_edges(heat: np.ndarray) -> None:
    binned = (np.minimum(np.floor(heat * 256), 255) + 0.5) / 256

    def between(threshold: float) -> float:
        low, high = binned[binned < threshold], binned[binned >= threshold]
        return low.size * high.size * (high.mean() - low.mean()) ** 2 if low.size and high.size else 0.0

    best = max(between(edge / 256) for edge in range(1, 256))
    assert between(otsu_threshold(heat)) == pytest.approx(best, rel=1e-6, abs=1e-9)


def test_otsu_lies_between_two_levels() -> None:
    assert otsu_threshold(np.array([[0.1, 0.1, 0.9]])) == pytest.approx(0.5, abs=0.01)


def test_otsu_of_a_constant_map() -> None:
    assert otsu_threshold(np.full((3, 3), 0.2)) == 0.5


def test_area_weighing_is_even_in_area_and_zero_at_its_ends() -> None:
    areas = np.array([0, 25, 75, 100])
    weighed = weigh_area(np.ones(4), areas, 100, 0.5)
    assert weighed.tolist() == pytest.approx([0.0, 0.1875**0.5, 0.1875**0.5, 0.0])


def test_area_rule_weighs_the_generative_part_only() -> None:
    method = make_method(
        PAPER,
        generative_weight=0.5,
        discriminative_weight=1.0,
        select={**ARGMAX, "rule": "area", "area_power": 1.0},
    )
    contrast, clip = np.array([0.8, 0.4]), np.array([0.0, 0.1])
    scores = Scores(0.5 * contrast + clip, contrast, clip, clip, clip)
    areas = np.array([1, 50])
    expected = 0.5 * contrast * [0.0099, 0.25] + clip
    chosen = _decide(method, scores, areas, 100, thresholds=np.full(2, np.nan), otsu=None)
    assert chosen == int(expected.argmax()) == 1


def test_the_highest_threshold_that_is_not_above_the_wanted_one_remains() -> None:
    thresholds = np.array([0.2, 0.4, 0.4, 0.6], np.float32)
    everything = np.ones(4, np.bool_)
    for wanted, expected in {0.45: [1, 2], 0.59: [1, 2], 0.4: [1, 2], 0.6: [3], 0.99: [3], 0.1: [0]}.items():
        assert np.flatnonzero(restrict_thresholds(everything, thresholds, wanted)).tolist() == expected, wanted
    # 0.59 lies nearer to 0.6, but the mask that was cut at 0.6 is smaller than the one at 0.59.
    some = np.array([True, False, False, True])
    assert restrict_thresholds(some, thresholds, 0.59).tolist() == [True, False, False, False]
    assert not restrict_thresholds(np.zeros(4, np.bool_), thresholds, 0.5).any()


def test_thresholds_are_restricted_row_by_row() -> None:
    thresholds = np.array([[0.2, 0.4, np.nan], [0.3, 0.5, 0.7]], np.float32)
    kept = restrict_thresholds(~np.isnan(thresholds), thresholds, np.array([0.5, 0.6]))
    assert kept.tolist() == [[False, True, False], [False, True, False]]


@given(
    arrays(np.float64, (4, 5), elements=st.sampled_from([0.0, 0.13, 0.3, 0.52, 0.9, 1.0])),
    st.sampled_from(MU[:18].tolist()),
)
def test_rule_fixed_takes_the_mask_at_its_threshold_whichever_were_left_out(heat: np.ndarray, wanted: float) -> None:
    settings = ThresholdSettings(
        kind="threshold", readout="paper", thresholds=tuple(MU.tolist()), parts="whole", min_part_px=1
    )
    cut = cut_heat(heat, settings)
    kept = find_candidates(cut.areas, heat.size, None, 0)
    chosen = np.flatnonzero(restrict_thresholds(kept, cut.thresholds, wanted))
    mask = heat >= wanted
    if 0 < mask.sum() < heat.size:
        assert len(chosen) == 1
        assert (cut.masks[chosen[0]] == mask).all()


def test_thresholds_are_needed_by_their_rules() -> None:
    method = make_method(PAPER, select={**ARGMAX, "rule": "fixed", "threshold": 0.5})
    with pytest.raises(ParameterError, match="need proposals that were cut from a heat map"):
        _decide(method, _scores(np.zeros(2)), np.array([1, 2]), 10, thresholds=np.full(2, np.nan), otsu=None)


def test_otsu_needs_its_threshold() -> None:
    method = make_method(PAPER, select={**ARGMAX, "rule": "otsu"})
    with pytest.raises(ValueError, match="rule otsu needs it"):
        _decide(method, _scores(np.zeros(2)), np.array([1, 2]), 10, thresholds=MU[:2], otsu=None)


def test_no_candidates_no_choice() -> None:
    for select in (ARGMAX, {**ARGMAX, "rule": "fixed", "threshold": 0.5}, {**ARGMAX, "rule": "otsu"}):
        method = make_method(PAPER, select=select)
        nothing = np.zeros(0)
        assert _decide(method, _scores(nothing), np.zeros(0, np.int64), 9, thresholds=nothing, otsu=0.5) == NO_CHOICE
