"""Real processes that are really killed, interrupted, starved of room and of permission; and two at once."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refdiff.store.hold import HOLDER, hold_folder
from refdiff.store.opened import open_store
from refdiff.store.verify import verify_store
from refdiff.store.work import WorkFolder
from tests.store.toy_project import ToyProject, make_toy, stage_environment, start_stage

PAUSE = 0.08


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted run publishes."""
    return finish(make_toy(tmp_path_factory.mktemp("whole") / "project", with_self=True))


def finish(project: ToyProject) -> dict[str, bytes]:
    """Run the stage to its end; what it published, the number of the pause apart."""
    with start_stage(project.root) as stage:
        _, message = stage.communicate()
    assert stage.returncode == 0, message
    assert verify_store(open_store(str(project.store))) == []
    return project.content()


def wait_for_shards(project: ToyProject, stage: subprocess.Popen[str], count: int) -> None:
    while len(list(project.root.glob(".work/*/*/done/*.json"))) < count:
        assert stage.poll() is None, stage.communicate()
        time.sleep(0.005)


def test_killed_at_random_moments(tmp_path: Path, whole: dict[str, bytes]):
    rng = random.Random(20)
    project = make_toy(tmp_path / "project", with_self=True, pause=PAUSE)
    for shards in (1, 2, 4):
        with start_stage(project.root) as stage:
            wait_for_shards(project, stage, shards)
            time.sleep(rng.random() * PAUSE * 1.2)
            os.killpg(stage.pid, signal.SIGKILL)
        assert not project.store.exists()
    assert finish(project) == whole
    (computed,) = project.runs()
    assert computed <= 1  # four shards of five were finished before the last kill
    assert not list(project.root.rglob("*.partial"))


def test_control_c_ends_soon_and_says_how_to_go_on(tmp_path: Path, whole: dict[str, bytes]):
    project = make_toy(tmp_path / "project", with_self=True, pause=0.3)
    with start_stage(project.root) as stage:
        wait_for_shards(project, stage, 1)
        before = time.monotonic()
        os.killpg(stage.pid, signal.SIGINT)
        _, message = stage.communicate()
        assert time.monotonic() - before < 5
    assert (stage.returncode, message) == (
        130,
        "interrupted; run the same command again (`dvc repro`, if that started it) to go on\n",
    )
    assert finish(project) == whole


def limit_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1800, 1800))


def test_no_room_is_one_line_and_the_store_goes_on(tmp_path: Path, whole: dict[str, bytes]):
    """A limit on the size of files stands for a full disk: small arrays fit, the next shard does not."""
    project = make_toy(tmp_path / "project", with_self=True)
    code = (
        "import tests.store.toy_stage as t, tests.store.test_interruption as i; i.limit_files(); t.run_command(t.main)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=stage_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert re.fullmatch(r"error: .*cannot be written \(File too large\); finished shards are kept, .*\n", ended.stderr)
    assert not project.store.exists()
    assert finish(project) == whole


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_is_one_line_and_the_store_goes_on(tmp_path: Path, whole: dict[str, bytes]):
    root = tmp_path / "disk"
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=88k", "tmpfs", str(root)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        project = make_toy(tmp_path / "project", with_self=True)
        (project.root / ".work").symlink_to(root)
        with start_stage(project.root) as stage:
            _, message = stage.communicate()
        assert stage.returncode == 2, message
        assert re.fullmatch(r"error: .*cannot be written \(No space left on device\); .*\n", message)
        assert 0 < len(list(root.glob("*/*/done/*.json"))) < 5
        subprocess.run(["mount", "-o", "remount,size=4m", str(root)], check=True)
        assert finish(project) == whole
    finally:
        subprocess.run(["umount", str(root)], check=True)


@pytest.mark.parametrize("place", [".work", ".work/extract_attention", "artifacts"])
def test_a_folder_that_cannot_be_written(tmp_path: Path, place: str):
    """Permissions do not bind root, so the stage runs as nobody when the test is root's."""
    project = make_toy(tmp_path / "project")
    (project.root / place).mkdir(parents=True)
    for folder in (project.root, project.root / ".work"):
        if folder.exists():
            folder.chmod(0o777)
    (project.root / "artifacts").mkdir(exist_ok=True)
    (project.root / "artifacts").chmod(0o777)
    (project.root / place).chmod(0o555)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys, tests.store.toy_stage as t\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "t.run_command(t.main)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.root,
        env=stage_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr
    assert re.fullmatch(
        r"error: .*cannot be written \(Permission denied\); .* run the same command again\n", ended.stderr
    )
    (project.root / place).chmod(0o777)
    assert len(finish(project)) > 10


def test_two_at_once_take_turns(tmp_path: Path, whole: dict[str, bytes]):
    project = make_toy(tmp_path / "project", with_self=True, pause=0.7)
    with start_stage(project.root) as first:
        wait_for_shards(project, first, 1)
        with start_stage(project.root) as second:
            messages = [stage.communicate()[1] for stage in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    assert messages[0] == ""
    assert f"process {first.pid} on " in messages[1]
    assert "waiting for it to end" in messages[1]
    assert project.runs() == [5, 0]
    assert project.content() == whole


def test_a_holder_on_another_host_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Where locks do not reach other hosts, or one was lost without a word, its record is all there is."""
    with hold_folder(tmp_path):
        pass
    assert not (tmp_path / HOLDER).exists()
    (tmp_path / HOLDER).write_text('{"process": 7, "host": "node12"}')
    with hold_folder(tmp_path):
        pass
    assert "process 7 on node12 held it and did not end in order; if it still runs, stop it" in capsys.readouterr().err


def test_half_written_files_go_before_work_goes_on(tmp_path: Path):
    work = WorkFolder(tmp_path, "stage", "val-paper", {})
    with work.hold():
        (work.content / "array").mkdir()
        (work.content / "array/0.17ab.partial").write_bytes(b"half")
    with work.hold():
        assert not (work.content / "array/0.17ab.partial").exists()
