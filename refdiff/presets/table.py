"""The presets: one word for a whole set of parameters, which lies beside this file as YAML."""

import argparse
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.parameter_words import expected_names
from refdiff.params import read_params
from refdiff.recipe import locate_models

PACKAGE_ROOT = Path(__file__).parents[2]
"""What the demo's model folders are relative to."""


@dataclass(frozen=True, slots=True)
class Preset:
    """A whole set of parameters.

    Attributes:
        name: The word that chooses it.
        summary: What it is, in one line.
        method: The row of `methods` that `refdiff segment` takes where none is named.
    """

    name: str
    summary: str
    method: str

    @property
    def path(self) -> Path:
        """Its file: each section of params.yaml, with comments."""
        return Path(__file__).with_name(f"{self.name}.yaml")

    def read(self) -> dict[str, Any]:
        """Its parameters, which work from any folder."""
        return locate_models(read_params(self.path), PACKAGE_ROOT)


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("demo", "the package's miniature models, which know drawn shapes and no photos", "ref-diff-plus"),
        Preset("paper", "the paper's settings: SD 1.5 at 512 px, SAM ViT-H, CLIP ViT-B/16", "ref-diff-plus"),
        Preset("released", "the released code's settings: the same models at 1,024 px", "released"),
        Preset("light", "for small cards: SD 1.5 in half precision, SAM 2.1 tiny", "ref-diff-plus"),
    )
}


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """A type for argparse: one of some names; where it is none of them, the message says which is near."""

    def check(word: str) -> str:
        if word not in names:
            raise argparse.ArgumentTypeError(f"no {word!r}; {expected_names(word, names)}")
        return word

    return check


def describe_presets() -> str:
    """The presets with their summaries, for a command's help."""
    return "; ".join(f"{preset.name}: {preset.summary}" for preset in PRESETS.values())
