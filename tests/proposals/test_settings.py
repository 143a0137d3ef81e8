from pathlib import Path

import pytest
import yaml

from refdiff.errors import ParameterError
from refdiff.params import PARAMS_FILE, read_params, read_section
from refdiff.proposals.settings import (
    HEAT_SOURCES,
    PHOTO_SOURCES,
    ProposeMasksSettings,
    RegionsSettings,
    TruthSettings,
)
from tests.proposals.rows import FILTERS, REGIONS, SAM, THRESHOLD

ROOT = Path(__file__).parents[2]


def test_the_shipped_rows_are_read() -> None:
    params = read_params(ROOT / PARAMS_FILE)
    assert isinstance(PHOTO_SOURCES.read(params, "regions"), RegionsSettings)
    assert len(HEAT_SOURCES.read(params, "weak").thresholds) == 19
    assert read_section(ProposeMasksSettings, "propose_masks", ROOT / PARAMS_FILE).workers >= 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"kind": "freesolo"}, r"sources.x.kind: unknown kind 'freesolo'; expected one of: sam, regions, file, truth"),
        ({"kind": ["sam"]}, "unknown kind"),
        ({"model": "a/b"}, "sources.x: no kind; expected one of"),
        (None, "sources.x: no kind"),
        ({**REGIONS, "colour": 1}, "sources.x.colour: unknown parameter"),
        ({**REGIONS, "min_persistence": 1.5}, "sources.x.min_persistence: .* got 1.5"),
        ({**REGIONS, "smoothing_px": []}, "sources.x.smoothing_px"),
        ({**SAM, "points_per_side": 0}, "sources.x.points_per_side: .* got 0"),
        ({**SAM, "dtype": "float8"}, "sources.x.dtype"),
        ({"kind": "file"}, "sources.x.path: missing"),
        ({"kind": "truth", "path": "a"}, "sources.x.path: unknown parameter"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(row: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        PHOTO_SOURCES.parse(row, "sources.x")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": [0.5, 0.5]}, "expected rising values, each once"),
        ({"thresholds": [0.7, 0.5]}, "expected rising values"),
        ({"thresholds": [0.0, 0.5]}, "thresholds.0"),
        ({"thresholds": [1.5]}, "thresholds.0"),
        ({"thresholds": []}, "thresholds"),
        ({"parts": "halves"}, "parts"),
        ({"kind": "regions"}, "unknown kind 'regions'; expected one of: threshold"),
    ],
)
def test_heat_sources_that_do_not_fit_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        HEAT_SOURCES.parse({**THRESHOLD, **changes}, "heat_sources.x")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", ""])
def test_unknown_devices_are_refused(tmp_path: Path, device: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump({"propose_masks": {"device": device, "workers": 1, "filters": FILTERS}}))
    with pytest.raises(ParameterError, match=r"propose_masks\.device"):
        read_section(ProposeMasksSettings, "propose_masks", file)


def test_an_unknown_source_is_refused_with_those_there() -> None:
    params = {"sources": {"oracle": {"kind": "truth"}}}
    assert isinstance(PHOTO_SOURCES.read(params, "oracle"), TruthSettings)
    with pytest.raises(ParameterError, match="sources: no entry 'sam'; expected one of: oracle"):
        PHOTO_SOURCES.read(params, "sam")
