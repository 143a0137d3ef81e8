"""What is saved changes nothing: maps against the plain path (full passes, batches of one, written-out attention)."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from benchmarks.plain import capture_plainly
from refdiff.attention.maps import CrossMaps
from refdiff.demo.models import DIFFUSION
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.settings import CaptureSettings
from tests.diffusion.rows import PAPER, RELEASED, make_capture, make_photo, make_section

# Asked of two photos; the second one's sentences lie in two batches of three.
SENTENCES = [["the red ring", "star"], ["the blue circle on the left", "star"]]
TOLERANCE = 1e-5

SINGLE = {**RELEASED, "schedule": {"kind": "single", "timesteps": [51, 401]}, "guidance": 3.0, "prompt_suffix": ""}
ROWS = {
    "paper": PAPER,
    "paper, some layers": {**PAPER, "cross_layers": {"map_px": [4]}},
    "released": RELEASED,
    "released, some layers": {**RELEASED, "cross_layers": {"map_px": [4]}},
    "released, conditional maps": {**RELEASED, "guided_maps": False},
    "released, probabilities": {**RELEASED, "quantity": "probabilities"},
    "released, no guidance": {**RELEASED, "guidance": 1.0},
    "two single steps": SINGLE,
    "two single steps, conditional maps": {**SINGLE, "guided_maps": False},
}


@pytest.fixture(scope="module")
def demo() -> AttentionExtractor:
    return AttentionExtractor(make_section(model=str(DIFFUSION)))


def capture_together(extractor: AttentionExtractor, capture: CaptureSettings) -> list[list[CrossMaps]]:
    queries = [
        extractor.make_query(make_photo(index, 30, 50), str(index), asked, capture, False)
        for index, asked in enumerate(SENTENCES)
    ]
    return [image.cross for image in extractor.capture_photos(queries, capture)]


@pytest.fixture(scope="module")
def plain(demo: AttentionExtractor) -> Callable[[str], list[list[CrossMaps]]]:
    """The plain path's maps of a row, by photo and sentence."""

    @cache
    def capture(name: str) -> list[list[CrossMaps]]:
        row = make_capture(ROWS[name])
        return [
            capture_plainly(demo, make_photo(index, 30, 50), str(index), asked, row)
            for index, asked in enumerate(SENTENCES)
        ]

    return capture


@pytest.mark.parametrize(
    ("name", "batch"),
    [*((name, 3) for name in ROWS), ("released", 1), ("released", 16), ("released, conditional maps", 16)],
)
def test_maps_are_those_of_the_plain_path(demo, plain, monkeypatch: pytest.MonkeyPatch, name: str, batch: int):
    """To 1e-5; guided maps g m - (g - 1) m0 to that times 2 g - 1, the most that guidance makes of it."""
    monkeypatch.setattr(demo, "settings", make_section(model=str(DIFFUSION), batch_sentences=batch))
    monkeypatch.setattr(demo, "_plans", {})
    capture, expected = make_capture(ROWS[name]), plain(name)
    atol = TOLERANCE * (2 * capture.guidance - 1 if capture.guided_maps else 1)
    for mine, others in zip(capture_together(demo, capture), expected, strict=True):
        for got, other in zip(mine, others, strict=True):
            assert got.keys == other.keys
            for size, block in other.maps.items():
                np.testing.assert_allclose(got.maps[size], block, atol=atol, rtol=0)
