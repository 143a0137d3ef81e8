import json
import shutil
from pathlib import Path
from typing import Any

import open_clip
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from refdiff.errors import ModelError
from refdiff.text.clip_tokens import ClipTokenizer, cut_pieces
from tests.text.conftest import FIXTURES, SD

SIMPLE = open_clip.get_tokenizer("ViT-B-16-quickgelu")
CLIP = ClipTokenizer("ViT-B-16-quickgelu")


def piece_ids(sentence: str) -> list[int]:
    assert isinstance(SIMPLE, SimpleTokenizer)
    return [SIMPLE.encoder[piece] for _, piece in cut_pieces(SIMPLE, SIMPLE.clean_fn(sentence))]


@pytest.mark.parametrize(
    ("sentence", "ranges"),
    [
        ("Red  Apple", [(0, 3), (5, 10)]),
        ("man's hat", [(0, 3), (3, 5), (6, 9)]),
        ("&amp; dog", [(0, 1), (6, 9)]),
        ("cafe\u0301 man", [(0, 5), (6, 9)]),
        ("🐶 left", [(0, 1), (2, 6)]),
        ("<end_of_text> dog", [(0, 13), (14, 17)]),
    ],
)
def test_offsets_are_characters_of_the_sentence(sentence: str, ranges: list[tuple[int, int]]) -> None:
    tokens = CLIP.tokenize(sentence)
    assert list(tokens.ranges) == ranges
    assert tokens.room == 75


def test_a_piece_of_a_letter_stands_for_the_letter() -> None:
    assert set(CLIP.tokenize("ǆ").ranges) == {(0, 1)}
    assert len(CLIP.tokenize("ꙮ").ranges) > 1
    assert set(CLIP.tokenize("ꙮ").ranges) == {(0, 1)}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@example("\x85")
@example(" \x85\x85 ")
def test_pieces_are_those_of_open_clip(sentence: str) -> None:
    assert isinstance(SIMPLE, SimpleTokenizer)
    assert piece_ids(sentence) == SIMPLE.encode(sentence)
    ranges = CLIP.tokenize(sentence).ranges
    assert len(ranges) == len(SIMPLE.encode(sentence))
    assert all(0 <= start < end <= len(sentence) for start, end in ranges)


def test_pieces_are_those_of_open_clip_on_what_people_wrote() -> None:
    assert isinstance(SIMPLE, SimpleTokenizer)
    for row in json.loads((FIXTURES / "google_refexp" / "sentences.json").read_text()):
        assert piece_ids(row["sentence"]) == SIMPLE.encode(row["sentence"])


@given(st.text("abcdefghijklmnopqrstuvwxyzABC '-.,0123456789", max_size=40))
@settings(max_examples=200)
def test_the_characters_of_a_piece_are_its_text(sentence: str) -> None:
    assert isinstance(SIMPLE, SimpleTokenizer)
    ids = SIMPLE.encode(sentence)
    for (start, end), token in zip(CLIP.tokenize(sentence).ranges, ids, strict=True):
        assert sentence[start:end].lower() == SIMPLE.decode([token]).strip()


def test_a_local_model_names_its_tokenizer() -> None:
    local = ClipTokenizer(f"local-dir:{FIXTURES / 'parity' / 'clip'}")
    assert local.tokenize("a dog").ranges == ((0, 1), (2, 5))
    assert local.identity["tokenizer_sha256"] == CLIP.identity["tokenizer_sha256"]


def _write_config(folder: Path, text: dict[str, Any]) -> None:
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": text}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def test_a_transformers_tokenizer_is_read_by_its_own_offsets(tmp_path: Path) -> None:
    shutil.copytree(SD / "tokenizer", tmp_path, dirs_exist_ok=True)
    _write_config(tmp_path, {"hf_tokenizer_name": "named/elsewhere", "context_length": 20})
    tokens = ClipTokenizer(f"local-dir:{tmp_path}").tokenize("Red  Apple &amp; man")
    assert tokens.ranges == ((0, 3), (5, 10), (11, 12), (17, 20))
    assert tokens.room == 18


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "ViT-B-16-nonsense",
            r"embed_clip.model: ViT-B-16-nonsense: open_clip has no such model; expected one of its names",
        ),
        ("local-dir:/not/there", r"embed_clip.model: local-dir:/not/there: no such folder"),
        (
            "hf-hub:nobody/has-this",
            r"nor in the hub's cache .*`hf download nobody/has-this --include open_clip_config.json",
        ),
        ("ViT-B-16-SigLIP", r"ViT-B-16-SigLIP: its image tower is TimmModel .*; expected a plain ViT"),
        (
            "roberta-ViT-B-32",
            r"the tokenizer of 'roberta-ViT-B-32' cannot be read .*`hf download roberta-base --include '\*.json'",
        ),
    ],
)
def test_an_absent_model_is_refused(model: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ClipTokenizer(model)


def test_a_tokenizer_that_reorders_its_text_is_refused(tmp_path: Path) -> None:
    _write_config(tmp_path, {"tokenizer_kwargs": {"reduction_mask": "shuffle"}})
    with pytest.raises(ModelError, match="token positions are not known"):
        ClipTokenizer(f"local-dir:{tmp_path}")


def test_a_broken_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be read"):
        ClipTokenizer(f"local-dir:{tmp_path}")
