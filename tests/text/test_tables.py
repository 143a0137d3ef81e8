import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refdiff.errors import ArtifactMissingError, StoreMismatchError
from refdiff.parquet import read_provenance
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.tables import TEXT, read_text, write_text

ROWS = [
    ParsedText(
        sentence="guy top l",
        root=HeadWord("guy", 0, 3, 1, 1),
        subject=HeadWord("l", 8, 9, 3, 3),
        root_fallback="attached",
        unet_tokens=3,
        clip_tokens=4,
        direction="left",
        direction_released="none",
        directions=("top", "left"),
        truncated=False,
    ),
    ParsedText(
        sentence="dog",
        root=HeadWord("dog", 0, 3, 1, 1),
        subject=HeadWord("dog", 0, 3, 1, 1),
        root_fallback="",
        unet_tokens=1,
        clip_tokens=1,
        direction="none",
        direction_released="none",
        directions=(),
        truncated=True,
    ),
]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    write_text(path, ROWS, {"stage": "parse_text"})
    table = read_text(path)
    assert len(table) == 2
    assert table.root.text == ["guy", "dog"]
    assert table.subject.unet_last.tolist() == [3, 1]
    assert table.head("root_or_subject") is table.subject
    assert table.head("root") is table.root
    assert table.root_fallback == ["attached", ""]
    assert table.unet_tokens.dtype == np.int32
    assert table.direction == ["left", "none"]
    assert table.directions == [["top", "left"], []]
    assert table.truncated.tolist() == [False, True]
    assert read_provenance(path) == {"stage": "parse_text"}


def test_no_sentences_are_a_table_too(tmp_path: Path) -> None:
    write_text(tmp_path / "text.parquet", [], {})
    assert len(read_text(tmp_path / "text.parquet")) == 0


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError, match=r"text\.parquet: not there; run `dvc repro`"):
        read_text(tmp_path / "text.parquet")


def test_another_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"expression_index": [0]}), tmp_path / "text.parquet")
    with pytest.raises(StoreMismatchError, match="expected columns"):
        read_text(tmp_path / "text.parquet")


def test_rows_in_another_order_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.parquet"
    write_text(path, ROWS, {})
    pq.write_table(pq.read_table(path).take([1, 0]).cast(TEXT), path)
    with pytest.raises(StoreMismatchError, match=r"not in the order of the expressions; .* got \[1, 0\]"):
        read_text(path)


def test_reading_imports_no_model_library() -> None:
    code = "import sys, refdiff.text.tables; print({'torch', 'spacy', 'transformers', 'open_clip'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
