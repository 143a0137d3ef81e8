import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from refdiff.command import run_command
from refdiff.errors import ArtifactMissingError, ParameterError, ShardsFailedError, list_faults


def test_a_refusal_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise ParameterError("methods.gs.alpha: expected at most 1, got 7")

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: methods.gs.alpha: expected at most 1, got 7\n"


def test_a_missing_artifact_prints_its_message_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise ArtifactMissingError("text.parquet: not there; run `dvc repro`")

    with pytest.raises(SystemExit):
        run_command(main)
    assert capsys.readouterr().err == "error: text.parquet: not there; run `dvc repro`\n"


def test_faults_of_a_dataset_come_one_a_line() -> None:
    error = list_faults("refcoco", ["a.jpg: missing", "b.jpg: empty"], "correct them")
    assert str(error) == "refcoco: 2 faults; correct them\n  a.jpg: missing\n  b.jpg: empty"
    assert error.entries == ("a.jpg: missing", "b.jpg: empty")


def test_a_message_stays_on_its_line_and_moves_no_cursor() -> None:
    assert str(ParameterError("a\x1b[2J\nb\u202e ä 狗")) == r"a\x1b[2J\nb\u202e ä 狗"
    faults = list_faults("refcoco", ["a\x07.jpg: missing"], "correct them")
    assert str(faults) == "refcoco: 1 fault; correct them\n" + r"  a\x07.jpg: missing"
    failed = ShardsFailedError("work", ["3: images a\nb"])
    assert str(failed).splitlines()[1:] == [r"  3: images a\nb"]
    assert str(ArtifactMissingError("a\tb")) == r"a\tb"


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    assert ended.value.code == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)


def test_success_ends_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    run_command(lambda: None)
    assert capsys.readouterr() == ("", "")


def test_a_warning_is_one_line_without_the_loggers_name(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        logging.basicConfig()  # as some libraries do
        logging.getLogger("refdiff.text.parser").warning("%s: is cut", "a\nb")

    run_command(main)
    assert capsys.readouterr().err == "warning: a\\nb: is cut\n"
    assert logging.getLogger("refdiff").handlers == []


PRINTS = r"""
import sys
from refdiff.command import run_command
from refdiff.errors import ParameterError

def main():
    for _ in range(int(sys.argv[2])):
        print("caf\u00e9 \u732b \udcff" * int(sys.argv[1]))
    print("\u732b", file=sys.stderr)

run_command(main)
"""


def _start(*arguments: object, **settings: object) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-c", PRINTS, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **{"stderr": subprocess.PIPE, **settings})  # pyright: ignore


def test_what_the_stream_cannot_write_is_escaped() -> None:
    out, err = (process := _start(1, 1, stdout=subprocess.PIPE)).communicate(timeout=60)
    assert (process.returncode, out.strip(), err.strip()) == (0, rb"caf\xe9 \u732b \udcff", rb"\u732b")


SIZES = pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (200_000, 2)], ids=["little", "lines", "long"])


@SIZES
@pytest.mark.parametrize("names", [("stdout",), ("stderr",), ("stdout", "stderr")], ids="-".join)
def test_a_reader_that_is_gone_ends_a_command_without_a_word(size: tuple[int, int], names: tuple[str, ...]) -> None:
    read, write = os.pipe()
    os.close(read)
    streams: dict[str, object] = {"stdout": subprocess.PIPE, **dict.fromkeys(names, write)}
    process = _start(*size, **streams)
    os.close(write)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert b"Traceback" not in (out or b"") + (err or b"")
    assert "stderr" in names or err == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@SIZES
def test_a_full_disk_behind_the_output_is_one_line(size: tuple[int, int]) -> None:
    with Path("/dev/full").open("wb") as full:
        process = _start(*size, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.splitlines()[-1].startswith(b"error: <stdout>: cannot be written (No space left on device)")


def test_closed_streams_are_no_mistake() -> None:
    assert subprocess.call(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-c", PRINTS, "1", "1"]) == 0


def test_a_broken_pipe_of_something_else_is_a_defect() -> None:
    def main() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_command(main)
