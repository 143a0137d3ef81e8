"""Readouts: which tokens, layers and steps of a stored capture make a heat map, and how (no U-Net run)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from refdiff.attention.maps import MapKey
from refdiff.errors import ParameterError, StoreMismatchError
from refdiff.parameter_words import expected_names
from refdiff.params import Section, find, parse_section

TokenRule = Literal["root", "root_or_subject", "all_tokens"]
Upsampling = Literal["bilinear", "lanczos"]
HeadRule = Literal["root", "root_or_subject"]


class LayersBySize(Section):
    """Layers picked by the side of their maps, in map cells."""

    map_px: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class ReadoutSettings(Section):
    """One row of params.yaml's `readouts`.

    Attributes:
        capture: Name of the capture that is read.
        token_rule: The word whose tokens are read: the parse's root (paper), the first root or subject (released
            code), or every token of the sentence.
        piece: Which of the word's BPE pieces; `mean` averages them. Without meaning for `all_tokens`, which are
            averaged.
        layers: All, dotted layer names, or the layers whose maps have one of these sides.
        steps: All, or indexes of the U-Net runs (0 first).
        normalize: `mean_then_minmax` averages the maps, then stretches once (paper); `minmax_each` stretches every
            map, averages, and stretches the heat of the photo again (released code).
        upsampling: How the averaged map is brought to the photo.
        round_to_8_bit: Cut the averaged map to 256 levels before upsampling, as the released code does.
    """

    capture: Annotated[str, Field(min_length=1)]
    token_rule: TokenRule
    piece: Literal["last", "first", "mean"]
    layers: Literal["all"] | Annotated[tuple[str, ...], Field(min_length=1)] | LayersBySize
    steps: Literal["all"] | Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    normalize: Literal["mean_then_minmax", "minmax_each"]
    upsampling: Upsampling
    round_to_8_bit: bool

    @field_validator("layers", "steps")
    @classmethod
    def _refuse_repeats(cls, value: object) -> object:
        if isinstance(value, tuple) and len(set(value)) != len(value):
            raise ValueError("an entry is given twice; give each once")
        return value


def read_readout(params: dict[str, Any], name: str) -> ReadoutSettings:
    """A row of `readouts`.

    Args:
        params: Content of params.yaml.
        name: The row's name.

    Raises:
        ParameterError: There is no such row, it does not fit, or there is no capture of the name that it gives.
    """
    where = f"readouts.{name}"
    readout = parse_section(ReadoutSettings, find(params, where), where)
    captures = params.get("captures")
    if isinstance(captures, dict) and readout.capture not in captures:
        raise ParameterError(
            f"{where}.capture: no capture {readout.capture!r}; {expected_names(readout.capture, captures)}; "
            "correct the name"
        )
    return readout


def head_rule(readout: ReadoutSettings) -> HeadRule:
    """The rule whose head word the readout reads; the root, without effect, for `all_tokens`."""
    return "root" if readout.token_rule == "all_tokens" else readout.token_rule


def token_positions(readout: ReadoutSettings, first: int, last: int, tokens: int) -> tuple[int, ...]:
    """Prompt positions (start token = 0) that the readout averages.

    Args:
        readout: Its `token_rule` and `piece` count.
        first: First piece of the head word by the rule (see `head_rule`).
        last: Last piece, inclusive.
        tokens: Tokens of the sentence in the prompt, without start and end.

    Raises:
        StoreMismatchError: The span does not lie inside the sentence.

    Source: docs/method.md, "Head word": released code, position of the last piece.
    """
    if not 1 <= first <= last <= tokens:
        raise StoreMismatchError(
            f"token span {first} to {last}: expected within 1 to {tokens}, the sentence's tokens; "
            "the text table does not fit, run `dvc repro`"
        )
    if readout.token_rule == "all_tokens":
        return tuple(range(1, tokens + 1))
    if readout.piece == "mean":
        return tuple(range(first, last + 1))
    return (last,) if readout.piece == "last" else (first,)


def pick_maps(
    keys: Mapping[tuple[int, int], tuple[MapKey, ...]], readout: ReadoutSettings
) -> dict[tuple[int, int], list[int]]:
    """For each map size that the readout uses, the positions of its maps in stored order.

    Raises:
        ParameterError: A layer, step or map size is not in the capture; the message lists what is there.
    """
    everything = [key for group in keys.values() for key in group]
    layers = _wanted_layers(everything, readout)
    steps = _wanted_steps(everything, readout)
    picked = {
        size: [i for i, key in enumerate(group) if key.layer in layers and key.step in steps]
        for size, group in keys.items()
    }
    return {size: wanted for size, wanted in picked.items() if wanted}


def _wanted_layers(keys: list[MapKey], readout: ReadoutSettings) -> set[str]:
    if readout.layers == "all":
        return {key.layer for key in keys}
    if isinstance(readout.layers, LayersBySize):
        sides = {key.height for key in keys}
        _refuse_unknown("layers.map_px", set(readout.layers.map_px), sides, readout.capture)
        return {key.layer for key in keys if key.height in readout.layers.map_px}
    _refuse_unknown("layers", set(readout.layers), {key.layer for key in keys}, readout.capture)
    return set(readout.layers)


def _wanted_steps(keys: list[MapKey], readout: ReadoutSettings) -> set[int]:
    stored = {key.step for key in keys}
    if readout.steps == "all":
        return stored
    _refuse_unknown("steps", set(readout.steps), stored, readout.capture)
    return set(readout.steps)


def _refuse_unknown(name: str, wanted: set, stored: set, capture: str) -> None:
    missing = wanted - stored
    if missing:
        there = ", ".join(str(entry) for entry in sorted(stored))
        raise ParameterError(
            f"readout {name}: {', '.join(str(entry) for entry in sorted(missing))} not in capture {capture!r}; "
            f"expected some of: {there}; correct the readout or capture them"
        )
