"""Faults of a dataset, gathered so that a person sees all of them at once."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from refdiff.errors import DatasetError, DatasetFaultsError

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


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a dataset.

    Attributes:
        kind: What sort of fault, for counting.
        line: The whole message, one line.
    """

    kind: FaultKind
    line: str


@dataclass(slots=True)
class FaultLog:
    """Faults in the order in which they were found."""

    faults: list[Fault] = field(default_factory=list)

    def add(self, kind: FaultKind, message: str) -> None:
        """Note a fault; line breaks and other unprintable characters of the dataset are escaped."""
        self.faults.append(Fault(kind, escape_unprintable(message)))

    def lines(self) -> list[str]:
        return [fault.line for fault in self.faults]

    def counts(self) -> dict[str, int]:
        """How many faults of each kind, by kind."""
        return dict(sorted(Counter(fault.kind for fault in self.faults).items()))

    def refuse_if_any(self, where: str) -> None:
        """Raise when there are faults.

        Raises:
            DatasetFaultsError: There are; its message lists them.
        """
        if self.faults:
            raise DatasetFaultsError(
                where,
                self.lines(),
                "correct the dataset, or set prepare_dataset.on_fault: drop to go on without what is faulty",
            )


def raise_all(where: str, errors: list[DatasetError]) -> None:
    """Raise nothing, the only error, or one error that lists several."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise DatasetFaultsError(where, [str(error) for error in errors], "nothing can be read without them")


def escape_unprintable(text: str) -> str:
    """`text` on one line, with unprintable characters escaped as in Python."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
