from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from refdiff.errors import ModelError
from refdiff.text.unet_tokens import UnetTokenizer
from tests.text.conftest import SD


@pytest.fixture(scope="module")
def unet() -> UnetTokenizer:
    return UnetTokenizer(str(SD))


@pytest.fixture(scope="module")
def reference() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(SD / "tokenizer")


@pytest.mark.parametrize(
    ("sentence", "ranges"),
    [
        ("Red  Apple", [(0, 3), (5, 10)]),
        ("man's hat", [(0, 3), (3, 5), (6, 9)]),
        ("cafe\u0301 man", [(0, 4), (6, 9)]),  # composed to one letter; the accent alone has no range
        ("🐶 left", [(0, 1), (2, 6)]),
        ("ﬁre", [(0, 1), (0, 1), (0, 1), (1, 3)]),  # the ligature is three bytes
        ("10x", [(0, 1), (1, 2), (2, 3)]),
        ("a \t b", [(0, 1), (4, 5)]),
        ("ßtraße", [(0, 1), (0, 1), (1, 4), (4, 5), (4, 5), (5, 6)]),
    ],
)
def test_offsets_are_characters_of_the_sentence(
    unet: UnetTokenizer, sentence: str, ranges: list[tuple[int, int]]
) -> None:
    tokens = unet.tokenize(sentence)
    assert list(tokens.ranges) == ranges
    assert tokens.room == 75


@pytest.mark.parametrize("suffix", ["", ", ", " in a photo"])
@pytest.mark.parametrize("sentence", ["the dog", "the dog .", "man ' s hat", "a very " + "long " * 90 + "dog"])
def test_a_suffix_does_not_shift_the_sentence(
    unet: UnetTokenizer, reference: CLIPTokenizer, sentence: str, suffix: str
) -> None:
    prompt = reference(sentence + suffix, truncation=True, max_length=77)["input_ids"]
    alone = reference(sentence, truncation=True, max_length=77)["input_ids"]
    kept = unet.tokenize(sentence).kept
    assert prompt[1:kept] == alone[1:kept]  # all but the last, which a sign may join


def test_identity_tells_tokenizers_apart(unet: UnetTokenizer) -> None:
    assert set(unet.identity) == {"model", "tokenizer_sha256"}
    assert len(unet.identity["tokenizer_sha256"]) == 64


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(ModelError, match=r"has no tokenizer; expected vocab\.json and merges\.txt or tokenizer\.json"):
        UnetTokenizer(str(tmp_path))


def test_an_absent_model_is_refused_with_the_command_that_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"`hf download nobody/it --revision fp16 --include .*tokenizer/\*"):
        UnetTokenizer("nobody/it", "fp16")
    with pytest.raises(ModelError, match=r"^model a/b/c: no such folder"):
        UnetTokenizer("a/b/c")


def test_a_hub_model_without_its_tokenizer_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0" * 40
    snapshot = tmp_path / "models--o--n" / "snapshots" / commit
    (snapshot / "unet").mkdir(parents=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"has no tokenizer; .*`hf download o/n --revision 0+ --include"):
        UnetTokenizer("o/n", commit)


def test_a_home_folder_is_known_by_its_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(SD.parent))
    assert UnetTokenizer(f"~/{SD.name}").tokenize("a dog").ranges


def test_a_tokenizer_that_does_not_know_its_length_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    for name in ("vocab.json", "merges.txt"):
        (folder / name).write_bytes((SD / "tokenizer" / name).read_bytes())
    with pytest.raises(ModelError, match="expected model_max_length"):
        UnetTokenizer(str(tmp_path))


def test_a_tokenizer_without_words_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    (folder / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(ModelError, match="expected a byte-level CLIP tokenizer"):
        UnetTokenizer(str(tmp_path))
