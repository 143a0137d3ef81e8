"""The demo's own tokenizer: CLIP's byte-level BPE with the few merges that make each of its words one token.

Any other text still has tokens: its bytes.
"""

import json
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
    """Merges that a BPE trainer finds when every word occurs equally often."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(vocab_size=5000, end_of_word_suffix="</w>", min_frequency=1, show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS)] * 5, trainer)
    found = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(first, second) for first, second in found]


def _byte_letters() -> list[int]:
    """Code points that stand for the 256 bytes in GPT-2's and CLIP's vocabularies, in their order: printable ones
    stand for themselves, and the others are moved up from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [256 + place for place in range(256 - len(printable))]
    return [*printable, *moved]
