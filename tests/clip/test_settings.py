from pathlib import Path
from typing import Any

import pytest

from refdiff.clip.settings import ClipSettings
from refdiff.errors import ParameterError
from refdiff.params import parse_section, read_section
from tests.clip.small_model import clip_settings

ROOT = Path(__file__).parents[2]


def test_the_shipped_section_fits() -> None:
    settings = read_section(ClipSettings, "embed_clip", ROOT / "refdiff/presets/demo.yaml")
    assert settings.crop_background_rgb == (0, 0, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("device", "gpu"),
        ("dtype", "int8"),
        ("local_ramps", []),
        ("global_ramps", ["left"]),
        ("crop_background_rgb", [0, 0, 256]),
        ("crop_max_aspect", 0.5),
        ("global_max_side", 0),
        ("batch_tokens", 0),
        ("rows_per_file", "16"),
        ("model", ""),
    ],
)
def test_values_out_of_range_are_refused(key: str, value: Any) -> None:
    section = {**clip_settings(Path("here")).model_dump(mode="json"), key: value}
    with pytest.raises(ParameterError, match=rf"embed_clip\.{key}"):
        parse_section(ClipSettings, section, "embed_clip")


def test_unknown_and_missing_keys_are_refused() -> None:
    section = clip_settings(Path("here")).model_dump(mode="json")
    del section["dtype"]
    with pytest.raises(ParameterError, match=r"embed_clip\.dtype: missing; add it .*embed_clip\.extra: unknown"):
        parse_section(ClipSettings, {**section, "extra": 1}, "embed_clip")
