"""A split of three photos as the earlier stages would leave it; the last photo has no proposals."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from refdiff.clip.settings import ClipSettings
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.layout import SplitLayout
from refdiff.proposals.candidates import of_codes, of_masks
from refdiff.proposals.tables import write_proposals
from refdiff.store.fingerprint import digest_file
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.tables import write_text
from tests.whole_params import whole_params

SOURCE = "boxes"
SIZES = ((40, 56), (64, 33), (30, 30))
# Sentence, photo, root, subject, direction, released direction.
ROWS = (
    ("the red cup on the left", 0, "cup", "cup", "left", "left"),
    ("top plate", 0, "plate", "plate", "top", "none"),
    ("a cup", 0, "cup", "a", "none", "none"),
    ("cup on the right", 1, "cup", "cup", "right", "right"),
    ("a cup", 2, "cup", "a", "none", "none"),
)


def masks_of(image: int) -> NDArray[np.bool_]:
    """The proposals of a photo: 5, 7 and none."""
    height, width = SIZES[image]
    rng = np.random.default_rng(10 + image)
    masks = np.zeros(((5, 7, 0)[image], height, width), dtype=np.bool_)
    for mask in masks:
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        mask[top : top + rng.integers(2, 20), left : left + rng.integers(2, 20)] = True
    return masks


def photo_of(image: int) -> NDArray[np.uint8]:
    return np.random.default_rng(image).integers(0, 256, (*SIZES[image], 3), dtype=np.uint8)


def make_split(root: Path) -> SplitLayout:
    """Write photos and tables below `root`."""
    (root / "photos").mkdir(parents=True)
    for image in range(len(SIZES)):
        Image.fromarray(photo_of(image)).save(root / "photos" / f"{image}.png")
    layout = SplitLayout("toy", root)
    ids = [str(100 + image) for image in range(len(SIZES))]
    images = Images(
        ids,
        [f"photos/{image}.png" for image in range(len(SIZES))],
        np.array([height for height, _ in SIZES], dtype=np.int32),
        np.array([width for _, width in SIZES], dtype=np.int32),
        [digest_file(root / f"photos/{image}.png") for image in range(len(SIZES))],
    )
    expressions = Expressions(
        [f"e{index}" for index in range(len(ROWS))],
        [f"r{index}" for index in range(len(ROWS))],
        np.array([row[1] for row in ROWS], dtype=np.int32),
        [ids[row[1]] for row in ROWS],
        [row[0] for row in ROWS],
        np.full(len(ROWS), -1, dtype=np.int32),
    )
    nothing = np.zeros(0, dtype=np.int32)
    targets = Targets([], nothing, [], nothing.astype(np.int64), nothing)
    write_dataset(layout.dataset, Dataset(images, expressions, targets, {"provenance": {}}))
    write_text(layout.text, [_parsed(row) for row in ROWS], {})
    proposals = [of_masks(masks_of(0)), of_masks(masks_of(1)), of_codes([], *SIZES[2])]
    write_proposals(layout.proposals(SOURCE), proposals, range(len(SIZES)), None, {})
    return layout


def write_params(root: Path, settings: ClipSettings) -> None:
    """A params.yaml with what the stage asks for."""
    content: dict[str, Any] = {
        "splits": {"toy": {}, "twin": {}},
        "sources": {SOURCE: {"kind": "truth"}},
        "engine": {"workers": 1},
        "embed_clip": settings.model_dump(mode="json"),
    }
    (root / "params.yaml").write_text(yaml.safe_dump(whole_params(content)))


def _parsed(row: tuple[str, int, str, str, Any, Any]) -> ParsedText:
    sentence, _, root, subject, direction, released = row
    directions = () if direction == "none" else (direction,)
    return ParsedText(
        sentence, _head(sentence, root), _head(sentence, subject), "", 4, 4, direction, released, directions, False
    )


def _head(sentence: str, word: str) -> HeadWord:
    start = sentence.index(word)
    return HeadWord(word, start, start + len(word), 1, 1)
