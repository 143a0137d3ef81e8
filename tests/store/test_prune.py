"""`refdiff store prune`: what is below `.work`, with age and size, and the oldest goes unless a run holds it."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refdiff.errors import ParameterError, UnreadableError
from refdiff.store.commands import add_store_commands
from refdiff.store.console import prune_and_print
from refdiff.store.hold import LOCK, SETUP_LOCK
from refdiff.store.pool import Pool
from refdiff.store.work import WorkFolder
from tests.store.toy_photos import COLUMNS
from tests.store.toy_project import stage_environment

DAYS = {"attention": 40, "latents": 20, "masks": 3, "pool": 10}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Two work folders, one of a published store, and two pools, in a project that the command is called from."""
    monkeypatch.chdir(tmp_path)
    works = {
        "attention": WorkFolder(Path(), "extract_attention", "tiny-paper", {"seed": 0}),
        "masks": WorkFolder(Path(), "propose_masks", "tiny-sam", {"points": 32}),
    }
    pools = {
        "latents": Pool(Path(), "extract_attention", "latents", {"canvas_px": 512}, COLUMNS),
        "pool": Pool(Path(), "propose_masks", "sam", {"points": 32}, COLUMNS),
    }
    for work in works.values():
        with work.hold():
            (work.content / "file").write_bytes(bytes(1_000_000))
    works["masks"].publish(Path("artifacts/masks"), ["file"], {})
    for pool in pools.values():
        pool.begin("tiny-paper")
        (pool.path / "item").write_bytes(bytes(2_000_000))
    made = {name: each.path for name, each in (works | pools).items()}
    for name, path in made.items():
        used = time.time() - DAYS[name] * 86400
        os.utime(path / "facts.json", (used, used))
    return made


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    add_store_commands(parser.add_subparsers())
    parsed = parser.parse_args(["store", "prune", *arguments])
    parsed.run(parsed)


def there(folders: dict[str, Path]) -> set[str]:
    """What of them was not pruned; only locks stay of a work folder that was."""
    left = {name: {path.name for path in folder.iterdir()} for name, folder in folders.items() if folder.is_dir()}
    assert all(names > {LOCK, SETUP_LOCK} or names <= {LOCK, SETUP_LOCK} for names in left.values() if LOCK in names)
    return {name for name, names in left.items() if names - {LOCK, SETUP_LOCK}}


def test_the_list_tells_what_each_is_for(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert there(folders) == set(folders)
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in said[:-1]] == [
        f"{folders[name]}:" for name in sorted(folders, key=lambda name: -DAYS[name])
    ]
    assert said[0].endswith(": not published, last used 40.0 days ago, 1.0 MB")
    assert ": used by tiny-paper, last used 20.0 days ago, 2.0 MB" in said[1]
    assert ": published, last used 3.0 days ago, " in said[3]
    assert said[3].endswith(" B and 1.0 MB that have other names")
    assert said[4] == "0 B of 5.0 MB were freed; --older-than DAYS or --keep-gb GB removes the oldest"


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        (["--older-than", "50"], set()),
        (["--older-than", "15"], {"attention", "latents"}),
        (["--older-than", "0"], set(DAYS)),
        (["--keep-gb", "1"], set()),
        (["--keep-gb", "0.0041"], {"attention"}),
        (["--keep-gb", "0.0021"], {"attention", "latents"}),
        (["--keep-gb", "0"], set(DAYS)),
        (["--older-than", "30", "--keep-gb", "0.0041"], {"attention"}),
    ],
)
def test_the_oldest_goes(
    folders: dict[str, Path], arguments: list[str], gone: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(*arguments, "--dry-run")
    dry = capsys.readouterr().out
    assert there(folders) == set(folders)
    run(*arguments)
    said = capsys.readouterr().out
    assert said == dry.replace("would remove", "removed").replace("would be", "were")
    assert there(folders) == set(folders) - gone
    removed = {line.split()[1] for line in said.splitlines() if line.startswith("removed ")}
    assert removed == {f"{folders[name]}:" for name in gone}
    assert Path("artifacts/masks/file").stat().st_size == 1_000_000
    run()
    assert len(capsys.readouterr().out.splitlines()) == len(folders) - len(gone) + 1


HOLD = """
import sys
from pathlib import Path
from refdiff.store.work import WorkFolder
with WorkFolder.of(Path(sys.argv[1])).hold(shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["whole", "shared"])
def test_what_a_run_holds_stays_with_its_pools(
    folders: dict[str, Path], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folders["masks"]), how],
        env=stage_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "held\n"
        for dry in (["--dry-run"], []):
            run("--keep-gb", "0", *dry)
            said = capsys.readouterr().out.splitlines()
            assert [line for line in said if line.startswith("kept")] == [
                f"kept {folders[name]}: a run is at work on it" for name in ("pool", "masks")
            ]
            assert said[-1].startswith("3.0 MB of 5.0 MB ")
        held.communicate("")
    assert there(folders) == {"masks", "pool"}
    run("--keep-gb", "0")
    assert there(folders) == set()


@pytest.mark.parametrize("limit", ["-1", "nan"])
def test_a_limit_that_is_none_removes_nothing(folders: dict[str, Path], limit: str) -> None:
    for limits in ((float(limit), None), (None, float(limit))):
        with pytest.raises(ParameterError, match=r"--(older-than|keep-gb): expected a number that is 0 or more"):
            prune_and_print(older_than=limits[0], keep_gb=limits[1], dry_run=False)
    assert there(folders) == set(folders)


def test_without_work_there_is_nothing_to_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run()
    assert capsys.readouterr().out.startswith("0 B of 0 B were freed")


def test_what_goes_meanwhile_does_not_count(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that a run removes, and a pool that its last user leaves."""
    partial = folders["attention"] / "content/file.partial"
    partial.touch()
    measured, listed = Path.lstat, Path.iterdir

    def lose(path: Path) -> os.stat_result:
        if path == partial:
            partial.unlink(missing_ok=True)
        return measured(path)

    def leave(path: Path):
        if path == folders["pool"]:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "lstat", lose)
    monkeypatch.setattr(Path, "iterdir", leave)
    run("--older-than", "30", "--dry-run")
    said = capsys.readouterr().out
    assert f"would remove {folders['attention']}: " in said
    assert str(folders["pool"]) not in said


def test_a_folder_that_cannot_be_read_is_named(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UnreadableError, match=r"cannot be read \(Permission denied\)"):
        prune_and_print(older_than=0, keep_gb=None, dry_run=False)
