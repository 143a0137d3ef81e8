"""propose_masks killed, interrupted, out of room, bereft of a photo, and over splits that share photos."""

import json
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
from refdiff.errors import ShardsFailedError
from refdiff.layout import SplitLayout
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.propose_split import NamedSource, propose_split
from refdiff.proposals.regions import RegionsSource
from refdiff.proposals.source import Photo
from stages.propose_masks import main
from tests.proposals.many_photos import make_photos, make_split, start_stage, worker_pids, write_params
from tests.proposals.rows import regions
from tests.unprivileged import contents, run_bound

PHOTOS = range(40)
FIRST = 8  # photos that are done when a run is disturbed

Run = Callable[..., int]


def _project(root: Path, kind: str = "serial") -> SplitLayout:
    make_photos(root, PHOTOS)
    write_params(root, ["val", "more"], kind)
    return make_split(root, "val", PHOTOS)


def _wait_for_photos(root: Path) -> None:
    limit = time.monotonic() + 60
    while len(list((root / ".work").glob("pool/*/*/photos/*/*.json"))) < FIRST:
        assert time.monotonic() < limit
        time.sleep(0.002)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the stage in this process; for how many photos it says that it computed masks."""

    def run_stage(root: Path, split: str, *options: str) -> int:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["propose_masks", split, "regions", *options])
        main()
        found = re.search(r"(\d+) (photos )?computed now", capsys.readouterr().out)
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
        _wait_for_photos(tmp_path)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not layout.proposals("regions").exists()
    assert run(tmp_path, "val") <= len(PHOTOS) - FIRST
    assert layout.proposals("regions").read_bytes() == whole


def test_ctrl_c_ends_soon_with_a_line_and_keeps_what_was_computed(tmp_path: Path, whole: bytes, run: Run) -> None:
    layout = _project(tmp_path, "processes")
    with start_stage(tmp_path, "val") as process:
        _wait_for_photos(tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        before = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert time.monotonic() - before < 10
    assert process.returncode == 130, err
    assert "interrupted; run the same command again (`dvc repro`, if that started it) to go on" in err
    assert "Traceback" not in err
    write_params(tmp_path, ["val"])
    assert run(tmp_path, "val") <= len(PHOTOS) - FIRST
    assert layout.proposals("regions").read_bytes() == whole


def test_splits_share_their_photos_and_other_parameters_share_nothing(tmp_path: Path, whole: bytes, run: Run) -> None:
    make_photos(tmp_path, range(40, 42))
    first, second = _project(tmp_path), make_split(tmp_path, "more", range(36, 42))
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


@pytest.fixture
def first_photo_done(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen when the first photo is computed."""

    def arrange(happen: Callable[[], object]) -> None:
        original, calls = RegionsSource.propose, []

        def propose(self: RegionsSource, photo: Photo) -> Proposals:
            if not calls:
                happen()
            calls.append(photo.image_id)
            return original(self, photo)

        monkeypatch.setattr(RegionsSource, "propose", propose)

    return arrange


def _last_photo(layout: SplitLayout) -> int:
    """The one that comes last, by its digest."""
    digests = read_dataset(layout.dataset).images.sha256
    return digests.index(max(digests))


def test_a_photo_that_vanishes_during_a_run_is_named_and_the_others_are_kept(
    tmp_path: Path, first_photo_done: Callable[[Callable[[], object]], None]
) -> None:
    layout, source = _project(tmp_path), NamedSource("regions", regions(), "cpu")
    last, dataset = _last_photo(layout), read_dataset(layout.dataset)
    first_photo_done((tmp_path / f"photos/{last}.png").unlink)
    gone = rf"images {last}\): .*photos/{last}.png \(image {last}\): image is not there; expected a file"
    with pytest.raises(ShardsFailedError, match=gone):
        propose_split(layout, dataset, source, lambda *_: None)
    make_photos(tmp_path, [last])
    assert propose_split(layout, dataset, source, lambda *_: None).computed == 1


def test_a_photo_that_is_exchanged_during_a_run_is_refused(
    tmp_path: Path, first_photo_done: Callable[[Callable[[], object]], None]
) -> None:
    layout, source = _project(tmp_path), NamedSource("regions", regions(), "cpu")
    last = _last_photo(layout)
    other = tmp_path / "photos" / f"{(last + 1) % len(PHOTOS)}.png"
    first_photo_done(lambda: (tmp_path / f"photos/{last}.png").write_bytes(other.read_bytes()))
    with pytest.raises(ShardsFailedError, match=rf"photos/{last}.png \(image {last}\): is not the file"):
        propose_split(layout, read_dataset(layout.dataset), source, lambda *_: None)


def test_parts_compute_and_a_whole_run_publishes(tmp_path: Path, whole: bytes, run: Run) -> None:
    layout = _project(tmp_path)
    one, two = run(tmp_path, "val", "--part", "1/2"), run(tmp_path, "val", "--part", "2/2")
    assert one > 0
    assert two > 0
    assert one + two == len(PHOTOS)
    assert not layout.proposals("regions").exists()
    assert run(tmp_path, "val") == 0
    assert layout.proposals("regions").read_bytes() == whole


@pytest.mark.slow
def test_processes_make_the_same_bytes_though_one_is_killed(tmp_path: Path, whole: bytes) -> None:
    layout = _project(tmp_path, "processes")
    with start_stage(tmp_path, "val") as process:
        _wait_for_photos(tmp_path)
        os.kill(worker_pids(tmp_path)[-1], signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert out.strip().endswith("40 computed now"), err
    assert layout.proposals("regions").read_bytes() == whole


@pytest.mark.slow
def test_dask_makes_the_same_bytes(tmp_path: Path, whole: bytes) -> None:
    pytest.importorskip("distributed")
    layout = _project(tmp_path)
    with start_stage(tmp_path, "val", "--engine", "dask", "--workers", "2") as process:
        out, err = process.communicate(timeout=120)
    assert out.strip().endswith("40 computed now"), err
    assert layout.proposals("regions").read_bytes() == whole


@pytest.mark.slow
def test_two_splits_at_the_same_time_share_their_photos(tmp_path: Path, whole: bytes, run: Run) -> None:
    """Each photo is in one shard of the pool only, so it was computed once."""
    layout, _ = _project(tmp_path), make_split(tmp_path, "more", range(20, 40))
    with start_stage(tmp_path, "val", "--engine", "processes") as one, start_stage(tmp_path, "more") as two:
        said = [process.communicate(timeout=120) for process in (one, two)]
    assert [process.returncode for process in (one, two)] == [0, 0], said
    markers = [json.loads(path.read_text()) for path in (tmp_path / ".work").glob("pool/*/*/photos/*/*.json")]
    keys = [key for marker in markers for photo in marker["keys"] for key in photo]
    assert len(keys) == len(set(keys)) == len(PHOTOS)
    assert layout.proposals("regions").read_bytes() == whole


@pytest.mark.parametrize("suffix", [".arrow", ".json"])
def test_masks_that_cannot_be_read_are_kept(tmp_path: Path, whole: bytes, run: Run, suffix: str) -> None:
    layout, pool = _project(tmp_path), tmp_path / ".work/pool/propose_masks"
    run(tmp_path, "val")
    (photos,) = pool.glob("*/photos")
    before = contents(photos)
    file = next(photos.glob(f"*/*{suffix}"))
    file.chmod(0o000)
    ended = run_bound(tmp_path, "-m", "stages.propose_masks", "val", "regions")
    file.chmod(0o644)
    assert ended.returncode == 2, ended
    message = ended.stderr.splitlines()[-1]  # the one before is the progress
    assert re.fullmatch(rf"error: .*/{file.name}: cannot be read \(Permission denied\); correct .*", message)
    assert "Traceback" not in ended.stderr
    assert contents(photos) == before
    assert run(tmp_path, "val") == 0
    assert layout.proposals("regions").read_bytes() == whole
