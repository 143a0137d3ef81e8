"""What git makes of the files of a checkout: the same bytes everywhere, and people's own files left alone."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout of git")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "path",
    [
        "data/refcoco/refs(unc).p",
        "data/train2014/a.jpg",
        "data/demo/instances.json",
        "data/own/val.jsonl",
        "photo.jpg",
        "o.png",
        "sweep/sweep.csv",
    ],
)
def test_peoples_data_and_pictures_are_ignored(path: str) -> None:
    assert _git("check-ignore", "--no-index", path).returncode == 0


@pytest.mark.parametrize("path", ["data/own.dvc", "data/.gitignore", "dvc.lock", "docs/result.png", "params.yaml"])
def test_what_belongs_to_the_project_is_not(path: str) -> None:
    assert _git("check-ignore", "--no-index", path).returncode == 1


def test_text_has_the_same_line_ends_everywhere() -> None:
    assert _git("check-attr", "eol", "refdiff/cli.py", "params.yaml").stdout.count("eol: lf\n") == 2
    files = _git("ls-files", "--eol").stdout.splitlines()
    kinds = {line.split()[0] for line in files}
    assert kinds == {"i/lf", "i/none", "i/-text"}
    binary = [
        line.split("\t")[1] for line in _git("ls-files", "--eol").stdout.splitlines() if line.startswith("i/-text")
    ]
    assert _git("check-attr", "text", *binary).stdout.count("text: unset\n") == len(binary) > 0
