import numpy as np
import pytest

from refdiff.fusion.choice import NO_CHOICE
from refdiff.fusion.photo import choose_mask
from refdiff.fusion.scores import ClipViews
from refdiff.proposals.candidates import of_masks
from tests.fusion.rows import ARGMAX, PAPER, RELEASED, make_method
from tests.parity_cases import NAMES, load_case


@pytest.mark.parametrize("name", NAMES)
def test_the_released_row_on_the_reference_photos(name: str) -> None:
    case = load_case(name)
    views = ClipViews(
        *(case.values[key] for key in ("local_features", "global_features", "text_feature", "core_feature"))
    )
    choice = choose_mask(make_method(RELEASED), of_masks(case.masks), case.values["attention"], views)
    kept = case.values["kept"]
    assert (choice.kept == kept).all()
    np.testing.assert_allclose(choice.scores.total[kept], case.values["score"][kept], atol=1e-4)
    assert np.isnan(choice.scores.total[~kept]).all()
    assert choice.index == np.where(kept, case.values["score"], -np.inf).argmax()


def test_nothing_to_choose_from() -> None:
    method = make_method(PAPER, discriminative_weight=0.0)
    for masks in (np.zeros((0, 3, 3), np.bool_), np.zeros((2, 3, 3), np.bool_), np.ones((1, 3, 3), np.bool_)):
        choice = choose_mask(method, of_masks(masks), np.zeros((3, 3)), None)
        assert choice.index == NO_CHOICE
        assert not choice.kept.any()


def test_a_heat_source_with_its_rule() -> None:
    heat = np.linspace(0, 1, 100).reshape(10, 10)
    thresholds = np.array([0.2, 0.5, 0.9])
    masks = np.stack([heat >= mu for mu in thresholds])
    method = make_method(PAPER, discriminative_weight=0.0, select={**ARGMAX, "rule": "fixed", "threshold": 0.55})
    assert choose_mask(method, of_masks(masks, thresholds=thresholds), heat, None).index == 1
