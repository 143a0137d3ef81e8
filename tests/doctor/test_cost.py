from typing import Any

import pytest

from refdiff.checking.models import list_models
from refdiff.checking.project import check_project
from refdiff.doctor import cost, operations
from refdiff.doctor.datasets import SplitSize
from refdiff.presets.table import PRESETS

SIZE = SplitSize(photos=1500, sentences=10_834, tokens=4, counted=True)


def test_the_autoencoder_takes_single_precision_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a U-Net in half precision, which takes none here."""
    slow, fast = 2e12, 1e30

    def speed(device: str, dtype: str, where: str) -> float:
        return slow if dtype == "float32" else fast

    monkeypatch.setattr(cost, "_speed", speed)
    project = check_project(PRESETS["light"].read())
    models = [use for use in list_models(project) if use.where == "extract_attention.model"]
    section = cost.estimate(project, {"split": SIZE}, models, {models[0].where: 1066e6}, None)
    captures: Any = project.rows["captures"].values()
    seconds = sum(operations.vae_operations(each, SIZE, 1066e6) for each in captures) / (slow / 2)
    assert section.table[1].split()[3:5] == [f"{seconds / 60:.0f}", "min"]
    assert "2 TFLOP/s in float32" in section.findings[0].text
