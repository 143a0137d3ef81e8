"""propose_masks killed, interrupted, out of room, bereft of a photo, and over splits that share photos."""

import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from refdiff.dataset.tables import read_dataset
from refdiff.errors import ImageError
from refdiff.layout import SplitLayout
from refdiff.proposals.propose_split import NamedSource, propose_split
from refdiff.proposals.regions import RegionsSource
from stages.propose_masks import main
from tests.proposals.many_photos import make_photos, make_split, start_stage, write_params
from tests.proposals.rows import regions

PHOTOS = range(40)
SHARD = 32

Run = Callable[[Path, str], int]


def _project(root: Path, workers: int = 1) -> SplitLayout:
    make_photos(root, PHOTOS)
    write_params(root, ["val", "more"], workers)
    return make_split(root, "val", PHOTOS)


def _wait_for_a_shard(root: Path) -> None:
    limit = time.monotonic() + 60
    while not list((root / ".work").glob("pool/*/*/shards/*.json")):
        assert time.monotonic() < limit
        time.sleep(0.002)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the stage in this process; for how many photos it says that it computed masks."""

    def run_stage(root: Path, split: str) -> int:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["propose_masks", split, "regions"])
        main()
        found = re.search(r"; (\d+) computed now", capsys.readouterr().out)
        assert found
        return int(found[1])

    return run_stage


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The artifact of a run that nothing disturbed."""
    layout = _project(tmp_path_factory.mktemp("whole") / "project")
    with start_stage(layout.root, "val") as process:
        out, err = process.communicate(timeout=120)
    assert out.strip().endswith("40 computed now"), err
    return layout.proposals("regions").read_bytes()


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, whole: bytes, run: Run) -> None:
    layout = _project(tmp_path)
    with start_stage(tmp_path, "val") as process:
        _wait_for_a_shard(tmp_path)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not layout.proposals("regions").exists()
    assert run(tmp_path, "val") == len(PHOTOS) - SHARD
    assert layout.proposals("regions").read_bytes() == whole


def test_ctrl_c_ends_soon_with_a_line_and_keeps_what_was_computed(tmp_path: Path, whole: bytes, run: Run) -> None:
    layout = _project(tmp_path, workers=2)
    with start_stage(tmp_path, "val") as process:
        _wait_for_a_shard(tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        before = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - before < 10
    assert process.returncode == 130, err
    assert "interrupted; run the same command again to go on" in err
    assert "Traceback" not in err
    write_params(tmp_path, ["val"])
    assert run(tmp_path, "val") <= len(PHOTOS) - SHARD
    assert layout.proposals("regions").read_bytes() == whole


def test_splits_share_their_photos_and_other_parameters_share_nothing(tmp_path: Path, whole: bytes, run: Run) -> None:
    first, second = _project(tmp_path), make_split(tmp_path, "more", range(36, 42))
    make_photos(tmp_path, range(40, 42))
    pools = tmp_path / ".work/pool/propose_masks"
    assert run(tmp_path, "more") == 6
    assert run(tmp_path, "val") == 36
    assert first.proposals("regions").read_bytes() == whole
    alone = second.proposals("regions").read_bytes()
    assert run(tmp_path, "more") == 0
    assert second.proposals("regions").read_bytes() == alone
    write_params(tmp_path, ["val", "more"], min_contrast=19.0)
    assert run(tmp_path, "more") == 6
    assert len(list(pools.glob("regions-*/facts.json"))) == 2
    assert run(tmp_path, "val") == 36
    assert len(list(pools.glob("regions-*/facts.json"))) == 1


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are set on Linux only")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    layout = _project(tmp_path)
    with start_stage(tmp_path, "val") as process:
        # A real refusal of the kernel, in the process that writes: no file may grow beyond this.
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert re.search(r"error: .*cannot be written \(.*too large.*\); finished shards are kept, make room", err)
    assert "Traceback" not in err
    assert not layout.proposals("regions").exists()


def test_a_photo_that_vanishes_during_a_run_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    layout = _project(tmp_path)
    source = NamedSource("regions", regions(), RegionsSource(regions()))

    def vanish(done: int) -> None:
        if done > SHARD:
            (tmp_path / "photos/39.png").unlink(missing_ok=True)

    with pytest.raises(ImageError, match=r"photos/39.png \(image 39\): image is not there; expected a file"):
        propose_split(layout, read_dataset(layout.dataset), source, 1, vanish)
    make_photos(tmp_path, [39])
    assert propose_split(layout, read_dataset(layout.dataset), source, 1, lambda _: None).computed == 1


def test_a_photo_that_is_exchanged_during_a_run_is_refused(tmp_path: Path) -> None:
    layout = _project(tmp_path)
    source = NamedSource("regions", regions(), RegionsSource(regions()))

    def exchange(done: int) -> None:
        if done > SHARD and (tmp_path / "photos/0.png").exists():
            (tmp_path / "photos/0.png").replace(tmp_path / "photos/39.png")

    with pytest.raises(ImageError, match=r"photos/39.png \(image 39\): was exchanged while this command ran"):
        propose_split(layout, read_dataset(layout.dataset), source, 1, exchange)
