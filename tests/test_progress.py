import re

import pytest

from refdiff.progress import showing_progress, track


def test_without_a_terminal_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what this run did: half was there when it began."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    with showing_progress("embed_clip val", "photos") as report:
        for done in (50, 50, 60, 75, 75, 100):
            report(done, 100)
            now += 20.0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "embed_clip val: 60 of 100 photos (60 %), 0:00:40 elapsed, 0:02:40 left",
        "embed_clip val: 75 of 100 photos (75 %), 0:01:20 elapsed, 0:01:20 left",
        "embed_clip val: 100 of 100 photos (100 %), 0:02:00 elapsed",
    ]


def test_steps_are_handed_through_and_a_short_loop_says_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track(iter("abc"), "parse_text", 3)) == ["a", "b", "c"]
    assert list(track([], "parse_text", 0)) == []
    assert capsys.readouterr().err.splitlines() == [
        "parse_text: 3 of 3 steps (100 %), 0:00:00 elapsed",
        "parse_text: 0 of 0 steps, 0:00:00 elapsed",
    ]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert list(track(range(4), "pool_masks", 4, "masks")) == [0, 1, 2, 3]
    assert re.search(r"pool_masks.*4/4.*masks", capsys.readouterr().err)
