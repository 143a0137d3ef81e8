"""What the doctor finds, and how it is printed."""

import shutil
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "MISSING", "WRONG"]
FAULTS: tuple[State, ...] = ("MISSING", "WRONG")
_INDENT = " " * 11
_WIDTHS = (72, 120)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact.

    Attributes:
        state: ok: in order; note: runs, and should be known; MISSING, WRONG: a run would end with it.
        text: What was found.
        run: Commands that bring what is missing.
        download: Bytes that these fetch, as far as known.
    """

    state: State
    text: str
    run: tuple[str, ...] = ()
    download: float = 0.0


@dataclass(frozen=True, slots=True)
class Section:
    """Findings on one subject; `table` is printed below them as it is."""

    title: str
    findings: tuple[Finding, ...]
    table: tuple[str, ...] = ()


def format_sections(sections: Iterable[Section], columns: int | None = None) -> str:
    """The sections as plain text; commands stand on lines of their own, to be copied."""
    low, high = _WIDTHS
    width = min(max(columns or shutil.get_terminal_size((100, 24)).columns, low), high)
    lines: list[str] = []
    for section in sections:
        lines += ["", section.title]
        for finding in section.findings:
            lines += textwrap.wrap(
                finding.text,
                width,
                initial_indent=f"  {finding.state:<9}",
                subsequent_indent=_INDENT,
                break_long_words=False,
                break_on_hyphens=False,
            )
            size = f"  # {format_bytes(finding.download)}" if finding.download else ""
            lines += [f"{_INDENT}$ {command}{size}" for command in finding.run]
        lines += [f"{_INDENT}{line}".rstrip() for line in section.table]
    return "\n".join(lines[1:])


def format_bytes(count: float) -> str:
    """As disks are sold: 4.3 GB, 156 MB."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            number = count / size
            return f"{number:.1f} {unit}" if number < 10 else f"{number:,.0f} {unit}"
    return f"{count:.0f} bytes"
