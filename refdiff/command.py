"""How every command speaks and ends: a person's mistake is one line on standard error and exit code 2."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from refdiff.errors import RefdiffError, escape

EXIT_REFUSED = 2
EXIT_INTERRUPTED = 130
EXIT_READER_GONE = 141
"""As of a program that SIGPIPE ends (128 + 13)."""
INTERRUPTED = "interrupted; run the same command again (`dvc repro`, if that started it) to go on"


def run_command(main: Callable[[], None]) -> None:
    """Run `main` and end the process as a command should end.

    Exit codes: 0 done; 2 refused with a message (`RefdiffError`), or standard output cannot be written; 130
    interrupted; 141 nobody reads the output any more (`| head -1`), which is no mistake and ends without a word. Other
    exceptions are defects of refdiff and keep their traceback. What a stream's encoding does not have is escaped.
    """
    _prepare_streams()
    with _seeing_to_broken_streams(), showing_warnings():
        try:
            main()
        except RefdiffError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(EXIT_REFUSED)
        except KeyboardInterrupt:
            print(INTERRUPTED, file=sys.stderr)
            sys.exit(EXIT_INTERRUPTED)


class _OneLine(logging.Handler):
    """Warnings in the manner of errors: one line on standard error, without the logger's name."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"{record.levelname.lower()}: {escape(record.getMessage())}", file=sys.stderr)


@contextmanager
def showing_warnings() -> Iterator[None]:
    """Show what refdiff's modules log, whatever handlers libraries have set up."""
    logger, handler = logging.getLogger("refdiff"), _OneLine()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started the command
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 open to the end
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


@contextmanager
def _seeing_to_broken_streams() -> Iterator[None]:
    """End the process where a standard stream cannot be written; what waits in it is written here, not at exit."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except OSError:
        found = _find_break()
        if found is None:
            raise
        broken, error = found
        for stream in (sys.stdout, sys.stderr) if isinstance(error, BrokenPipeError) else (broken,):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # so that the flush at exit succeeds
        if isinstance(error, BrokenPipeError):
            sys.exit(EXIT_READER_GONE)
        print(
            f"error: {broken.name}: cannot be written ({error.strerror}); make room or send it to another place",
            file=sys.stderr,
        )
        sys.exit(EXIT_REFUSED)


def _find_break() -> tuple[TextIO, OSError] | None:
    """The standard stream that cannot be written, and why; None when both can be."""
    for probe in ("", "\n"):  # a stream that has lost what it was given flushes in silence
        for stream in (sys.stdout, sys.stderr):
            try:
                print(probe, end="", file=stream, flush=True)
            except OSError as error:
                return stream, error
    return None
