"""The benchmark of rounding runs, and its reference in float64 is nearer to the plain path than a map is coarse."""

import pytest

from benchmarks.rounding import measure_capture
from benchmarks.schedules import SCHEDULES
from refdiff.demo.models import DIFFUSION
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.settings import CaptureSettings
from refdiff.params import parse_section
from tests.diffusion.rows import make_section


@pytest.mark.slow
def test_the_smallest_form_of_it():
    row = {**SCHEDULES["paper"], "canvas_px": 64, "cross_layers": "all"}
    extractor = AttentionExtractor(make_section(model=str(DIFFUSION)))
    largest, *distances = measure_capture(extractor, parse_section(CaptureSettings, row, "paper"), photos=1)
    assert 0 < float(largest) <= 1
    of_batches, to_exact, plain, half = (float(each.split()[0]) for each in distances)
    assert 0 < max(of_batches, to_exact, plain) < 1e-5 < half
