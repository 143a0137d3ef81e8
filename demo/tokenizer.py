"""The demo's own tokenizer: CLIP's byte-level BPE with the few merges that make each of its words one token.

Any other text still has tokens: its bytes.
"""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

_VOCABULARY = (
    "the a an big large small medium little tiny red orange yellow green blue purple pink circle square "
    "triangle star heart ring cross diamond shape thing object on in at of to left right top bottom side "
    "upper lower middle centre leftmost rightmost topmost lowest biggest smallest largest above below "
    "next beside near under over behind front and with between corner far closest grey dark pale brown "
    "beige ground background one photo picture drawing "
)

WORDS = tuple(_VOCABULARY.split())
"""Words that are one token each: those of the sentences and captions, and some that people might try."""

_START, _END = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder: Path) -> None:
    """Write `vocab.json`, `merges.txt` and `tokenizer_config.json` as transformers' CLIPTokenizer reads them.

    Args:
        folder: Where to; made when it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = _merges()
    letters = [chr(code) for code in _byte_letters()]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), *(a + b for a, b in merges), _START, _END]
    (folder / "vocab.json").write_text(
        json.dumps({token: index for index, token in enumerate(vocabulary)}, ensure_ascii=False), encoding="utf-8"
    )
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "backend": "tokenizers",
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": _START,
        "eos_token": _END,
        "pad_token": _END,
        "unk_token": _END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _merges() -> list[tuple[str, str]]:
    """Merges that byte-pair training finds when every word occurs once, until each word is one token.

    Of pairs that are equally frequent the first in the alphabet is merged: the order of the merges is the order of the
    vocabulary, so an order that changed from run to run would give a resumed training other words for its embeddings.
    """
    words = [[*word[:-1], f"{word[-1]}</w>"] for word in dict.fromkeys(WORDS)]
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in words):
        counts = Counter(pair for word in words for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        words = [_merged(word, best) for word in words]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    """The word with every occurrence of the pair, from the left, made one piece."""
    pieces: list[str] = []
    place = 0
    while place < len(word):
        if tuple(word[place : place + 2]) == pair:
            pieces.append("".join(pair))
            place += 2
        else:
            pieces.append(word[place])
            place += 1
    return pieces


def _byte_letters() -> list[int]:
    """Code points that stand for the 256 bytes in GPT-2's and CLIP's vocabularies, in their order: printable ones
    stand for themselves, and the others are moved up from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [256 + place for place in range(256 - len(printable))]
    return [*printable, *moved]
