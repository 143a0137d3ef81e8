"""Rows of `captures` and the section `extract_attention`."""

from pathlib import Path

import pytest

from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings, Img2ImgSchedule
from refdiff.errors import ParameterError
from refdiff.params import find, read_params, read_section
from tests.diffusion.rows import PAPER, RELEASED, make_capture, make_section

PARAMS = Path(__file__).parents[2] / "refdiff/presets/demo.yaml"


def test_shipped_parameters_are_valid():
    captures = find(read_params(PARAMS), "captures")
    assert isinstance(captures, dict)
    for name in captures:
        read_section(CaptureSettings, f"captures.{name}", PARAMS)
    read_section(ExtractAttentionSettings, "extract_attention", PARAMS)


@pytest.mark.parametrize(
    ("steps", "strength", "runs"), [(20, 0.1, 2), (30, 0.1, 3), (100, 0.29, 29), (20, 0.14, 2), (10, 1.0, 10)]
)
def test_runs_are_steps_times_strength_rounded_down(steps: int, strength: float, runs: int):
    assert Img2ImgSchedule(kind="img2img", steps=steps, strength=strength).runs == runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": {"kind": "img2img", "steps": 20, "strength": 0.01}}, "runs none"),
        ({"schedule": {"kind": "img2img", "steps": 20, "strength": 1.5}}, "strength"),
        ({"schedule": {"kind": "ddpm"}}, "img2img"),
        ({"schedule": {"kind": "single", "timesteps": []}}, "timesteps"),
        ({"schedule": {"kind": "single", "timesteps": [2, 2]}}, "given twice"),
        ({"schedule": {"kind": "single", "timesteps": [2], "steps": 20}}, "unknown parameter"),
        ({"guidance": -1.0}, "guidance"),
        ({"guidance": "9"}, "guidance"),
        ({"canvas_px": 4}, "canvas_px"),
        ({"quantity": "softmax"}, "probabilities"),
        ({"cross_layers": []}, "cross_layers"),
        ({"cross_layers": ["a", "a"]}, "given twice"),
        ({"colour": 1}, "captures.test.colour: unknown parameter"),
    ],
)
def test_bad_captures_are_refused(changes: dict, message: str):
    with pytest.raises(ParameterError, match=message):
        make_capture(PAPER, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "tpu"}, "device"),
        ({"dtype": "int8"}, "float16"),
        ({"batch_sentences": 0}, "batch_sentences"),
        ({"batch_sentences": "all"}, "batch_sentences"),
        ({"keep_latents": "yes"}, "keep_latents"),
        ({"compile": "yes"}, "compile"),
        (
            {"store": {"shard_expressions": 5, "chunk_expressions": 2, "chunk_tokens": 1, "compression_level": 3}},
            "not a multiple",
        ),
    ],
)
def test_bad_sections_are_refused(changes: dict, message: str):
    with pytest.raises(ParameterError, match=message):
        make_section(**changes)


def test_rows_are_values():
    assert make_capture(RELEASED) == make_capture(RELEASED)
    assert hash(make_capture(RELEASED)) != hash(make_capture(PAPER))
