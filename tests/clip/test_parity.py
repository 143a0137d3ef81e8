"""Features and scores against the released formulas' reference values."""

import numpy as np
import pytest

from refdiff.clip.embedder import ClipEmbedder
from tests.clip.small_model import PARITY_FOLDER, clip_settings
from tests.parity_cases import NAMES, load_case

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def embedder() -> ClipEmbedder:
    return ClipEmbedder(clip_settings(PARITY_FOLDER))


@pytest.mark.parametrize("name", NAMES)
def test_features_and_scores_are_the_released_ones(embedder: ClipEmbedder, name: str) -> None:
    case = load_case(name)
    sentence = str(case.values["sent"])
    stated = next((side for side in ("left", "right") if side in sentence), None)
    variant = "none" if stated is None else f"released_{stated}"
    views = embedder.embed_photo(case.values["image"], case.masks, [variant], ["none"])
    local, whole = views.local[variant], views.global_view["none"]
    text, core = embedder.embed_texts([sentence, str(case.values["core"])])
    found = {
        "text_feature": text,
        "core_feature": core,
        "local_features": local,
        "global_features": whole,
        "score_local": local @ text,
        "score_global": whole @ (0.5 * text + 0.5 * core),
    }
    for key, value in found.items():
        np.testing.assert_allclose(value, case.values[key], rtol=0, atol=TOLERANCE, err_msg=key)


def test_the_ramp_of_the_local_view_matters_for_parity(embedder: ClipEmbedder) -> None:
    case = load_case(NAMES[0])
    unramped = embedder.embed_local(case.values["image"], case.masks, "none")
    assert np.abs(unramped - case.values["local_features"]).max() > 100 * TOLERANCE


def test_colour_order_matters_for_parity(embedder: ClipEmbedder) -> None:
    case = load_case(NAMES[3])
    swapped = embedder.embed_global(np.ascontiguousarray(case.values["image"][:, :, ::-1]), case.masks, "none")
    assert np.abs(swapped - case.values["global_features"]).max() > 100 * TOLERANCE
