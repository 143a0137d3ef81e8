import pytest

from refdiff.command import run_command
from refdiff.errors import ArtifactMissingError, DatasetFaultsError, ParameterError, ShardsFailedError


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
    error = DatasetFaultsError("refcoco", ["a.jpg: missing", "b.jpg: empty"], "correct them")
    assert str(error) == "refcoco: 2 faults; correct them\n  a.jpg: missing\n  b.jpg: empty"
    assert error.faults == ("a.jpg: missing", "b.jpg: empty")


def test_a_message_stays_on_its_line_and_moves_no_cursor() -> None:
    assert str(ParameterError("a\x1b[2J\nb\u202e ä 狗")) == r"a\x1b[2J\nb\u202e ä 狗"
    faults = DatasetFaultsError("refcoco", ["a\x07.jpg: missing"], "correct them")
    assert str(faults) == "refcoco: 1 fault; correct them\n" + r"  a\x07.jpg: missing"
    failed = ShardsFailedError("work", ["3: images a\nb"], 5)
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
