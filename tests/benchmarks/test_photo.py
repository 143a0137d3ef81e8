"""The photo benchmark runs, and its two paths make the same; nothing is timed here."""

import time
from pathlib import Path

import pytest

from benchmarks.photo import draw_masks, draw_photo, measure_regions, measure_views, show
from refdiff.clip.embedder import ClipEmbedder
from tests.clip.small_model import clip_settings, write_small_clip
from tests.proposals.rows import regions


def test_a_table_of_the_miniature_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo, masks = draw_photo(48, 64), draw_masks(5, 48, 64)
    embedder = ClipEmbedder(clip_settings(write_small_clip(tmp_path)))
    rows = [
        measure_regions(photo, regions(), 1, time.perf_counter),
        *measure_views(embedder, photo, masks, 1, time.perf_counter),
    ]
    assert [row.items for row in rows[1:]] == ["5 embeddings", "5 embeddings"]
    for row in rows[1:]:
        assert row.difference is not None
        assert row.difference < 1e-5
    show("miniature", rows)
    assert "CLIP global view" in capsys.readouterr().out
