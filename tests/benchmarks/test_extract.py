"""The benchmark of extraction runs and says what it should; no timing."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.extract import Plan, measure_all, parse_arguments
from benchmarks.extract_table import AGAIN, FIRST, PLAIN, make_table
from benchmarks.machine import measure
from benchmarks.operations import count_flops, count_operations
from benchmarks.schedules import SENTENCES, make_capture
from benchmarks.sd15 import FULL_WIDTH


@pytest.mark.slow
def test_the_smallest_form_of_it():
    plan = Plan("cpu", "float32", 32, (64,), ("released",), 1, 1, "auto", compile=False, repeats=1)
    ours, again, plain = measure_all(plan)
    assert (ours.path, again.path, plain.path) == (FIRST, AGAIN, PLAIN)
    assert (ours.sentences, again.sentences, plain.sentences) == (len(SENTENCES), len(SENTENCES), 1)
    assert again.operations == replace(ours.operations, vae=0.0)
    assert ours.stored_bytes == plain.stored_bytes > 100
    assert min(ours.rate, plain.rate, ours.share, plain.share) > 0
    # Seven conditional rows and one unconditional, then seven of both; the plain path runs four passes in full.
    assert (ours.operations.rows, plain.operations.rows) == (pytest.approx(22 / 7), 4)
    assert ours.operations.vae == pytest.approx(plain.operations.vae / 7)
    assert ours.operations.unet < 0.8 * plain.operations.unet
    assert len(make_table([ours, again, plain]).rows) == 3


def test_attention_is_counted_whatever_torch_knows_of_its_kernels():
    query = torch.zeros(2, 4, 64, 8)  # two products of 64 x 64 x 8 for each row and head
    counted = count_flops(lambda: scaled_dot_product_attention(query, query, query))
    assert counted == 2 * (2 * 4) * (2 * 64 * 64 * 8)


def test_operations_of_the_real_model_as_published_in_the_tables():
    """Of SD 1.5 at 512 px; benchmarks/README.md and README.md cite these figures."""
    capture = make_capture("paper", 512)
    first, plain = count_operations(FULL_WIDTH, capture, photos=8, sentences=len(SENTENCES), batch=16)
    assert (f"{first.total / 1e12:.2f}", f"{plain.total / 1e12:.2f}") == ("0.52", "1.92")


def test_a_measurement_sees_memory():
    cost = measure(lambda: torch.ones(64_000_000).sum().item(), torch.device("cpu"))
    assert cost.peak_bytes > 100e6


def test_arguments():
    plan, with_count = parse_arguments(["--device", "cpu", "--batch", "4", "--canvas-px", "64", "--no-count"])
    assert (plan.batch, plan.canvases, with_count) == (4, (64,), False)
