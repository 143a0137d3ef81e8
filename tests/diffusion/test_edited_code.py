"""After an edit of code that decides what a shard holds: no shard of the old code is taken over."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from refdiff import source_code
from refdiff.attention.store import AttentionStore
from refdiff.diffusion import job
from refdiff.diffusion.extraction import Extracted, extract_split
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.layout import SplitLayout
from refdiff.store import attention_writer
from tests.diffusion.rows import PAPER, make_capture, make_section
from tests.diffusion.test_extraction import TOKENS, write_inputs

HALF, TWICE = "values.astype(np.float16)", "(values * 2).astype(np.float16)"


def _extract(layout: SplitLayout) -> Extracted:
    return extract_split(layout, "paper", make_capture(PAPER), make_section(), lambda _done, _total: None)


def test_an_edited_writer_computes_every_shard_again(
    tmp_path: Path, extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "AttentionExtractor", lambda *_: extractor)
    ignored = shutil.ignore_patterns("models", "__pycache__")
    package = shutil.copytree(source_code.PACKAGE, tmp_path / "refdiff", ignore=ignored)
    monkeypatch.setattr(source_code, "PACKAGE", package)
    layout = write_inputs(tmp_path / "project", TOKENS)
    first = _extract(layout)
    before = _mean(first.path)
    assert first.computed == first.shards
    assert _extract(layout).computed == 0

    writer = package / "store/attention_writer.py"
    code = writer.read_text(encoding="utf-8")
    assert HALF in code
    writer.write_text(code.replace(HALF, TWICE), encoding="utf-8")
    to_half = attention_writer._to_half
    monkeypatch.setattr(attention_writer, "_to_half", lambda *given: to_half(*given) * np.float16(2))
    second = _extract(layout)
    assert second.computed == second.shards
    assert _mean(second.path) == pytest.approx(2 * before)


def _mean(store: Path) -> float:
    """Of the first expression's maps."""
    return float(np.mean([maps.mean(dtype=np.float64) for maps in AttentionStore.open(store).read(0).maps.values()]))
