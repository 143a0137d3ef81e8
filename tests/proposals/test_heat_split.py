from pathlib import Path

import pytest

from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import read_dataset
from refdiff.errors import StoreMismatchError
from refdiff.heat.readout import ReadoutSettings
from refdiff.params import parse_section
from refdiff.proposals.heat_split import propose_heat_split
from refdiff.text.tables import read_text, write_text
from tests.fusion.small_split import make_split
from tests.proposals.rows import READOUT, threshold


def test_the_masks_are_the_same_with_any_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refdiff.proposals.heat_split.BLOCK", 4)
    readout = parse_section(ReadoutSettings, READOUT, "readout")
    layout = make_split(tmp_path, readout, (0.5,)).layout
    dataset, text = read_dataset(layout.dataset), read_text(layout.text)
    store = AttentionStore.open(layout.attention("paper"))
    one, two = (
        list(propose_heat_split(dataset, text, store, readout=readout, settings=threshold(), workers=workers))
        for workers in (1, 2)
    )
    assert len(one) == len(dataset.expressions.expression_id)
    assert [part.counts for part in one] == [part.counts for part in two]
    images = dataset.images
    assert all(
        (part.height, part.width) == (images.height[image], images.width[image])
        for part, image in zip(one, dataset.expressions.image_index, strict=True)
    )


def test_a_text_table_of_another_split_is_refused(tmp_path: Path) -> None:
    readout = parse_section(ReadoutSettings, READOUT, "readout")
    layout = make_split(tmp_path, readout, (0.5,)).layout
    write_text(layout.text, [], {})
    store = AttentionStore.open(layout.attention("paper"))
    masks = propose_heat_split(
        read_dataset(layout.dataset), read_text(layout.text), store, readout=readout, settings=threshold(), workers=1
    )
    with pytest.raises(StoreMismatchError, match="text table: expected 6 rows, got 0"):
        next(masks)
