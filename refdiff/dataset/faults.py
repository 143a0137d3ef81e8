"""Faults of a dataset, gathered so that a person sees all of them at once, and remarks on what is no fault."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from refdiff.errors import DatasetError, escape, list_faults

FaultKind = Literal[
    "record",
    "duplicate_image",
    "duplicate_annotation",
    "duplicate_ref",
    "duplicate_sentence",
    "unknown_image",
    "unknown_annotation",
    "path_outside",
    "image",
    "image_size",
    "mask",
    "empty_mask",
    "sentence",
    "no_sentence",
]
RemarkKind = Literal[
    "broken_part",
    "empty_part",
    "beyond_photo",
    "other_box",
    "inside_out",
    "frame",
    "crowd",
    "colour_profile",
    "frames",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a dataset, or worth a remark.

    Attributes:
        kind: What sort, for counting.
        line: The whole message, one line.
    """

    kind: FaultKind | RemarkKind
    line: str


@dataclass(slots=True)
class FaultLog:
    """Faults and remarks in the order in which they were found."""

    faults: list[Fault] = field(default_factory=list)
    _remarks: dict[Fault, None] = field(default_factory=dict)

    def add(self, kind: FaultKind, message: str) -> None:
        """Note a fault; line breaks and other unprintable characters of the dataset are escaped."""
        self.faults.append(Fault(kind, escape(message)))

    def remark(self, kind: RemarkKind, message: str) -> None:
        """Note what was taken, by a rule, in a way that a person should know of; the same line counts once."""
        self._remarks[Fault(kind, escape(message))] = None

    def lines(self) -> list[str]:
        return [fault.line for fault in self.faults]

    def counts(self) -> dict[str, int]:
        """How many faults of each kind, by kind."""
        return dict(sorted(Counter(fault.kind for fault in self.faults).items()))

    def remarks(self) -> dict[str, list[str]]:
        """Lines of the remarks, by kind."""
        kinds = sorted({remark.kind for remark in self._remarks})
        return {kind: [remark.line for remark in self._remarks if remark.kind == kind] for kind in kinds}

    def refuse_if_any(self, where: str, advice: str) -> None:
        """Raise when there are faults.

        Raises:
            DatasetFaultsError: There are; its message lists them.
        """
        if self.faults:
            raise list_faults(where, self.lines(), advice)


def raise_all(where: str, errors: list[DatasetError]) -> None:
    """Raise nothing, the only error, or one error that lists several."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise list_faults(where, [str(error) for error in errors], "nothing can be read without them")
