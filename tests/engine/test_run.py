"""Every engine makes the same files, whatever its workers go through."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from refdiff.engine.run import run_shards
from refdiff.engine.settings import Engine, EngineSettings, Kind, Part
from refdiff.errors import FailingAlikeError, ModelError, RefdiffError, ShardsFailedError, StoreError
from tests.engine.squares import LOADING, Squares

SHARDS = range(12)
WANTED = [str(shard**2) for shard in SHARDS]


def engine(kind: Kind, address: str | None = None, part: str = "1/1", attempts: int = 3) -> Engine:
    settings = EngineSettings(kind=kind, workers=2, address=address, accelerators=(), attempts=attempts)
    return Engine(settings, Part.parse(part))


def unwatched(done: int) -> None:
    """For runs whose progress nobody looks at."""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a real Dask cluster of two worker processes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs="ERROR"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(params=["serial", "processes", "dask"])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    kind: Kind = request.param
    return engine(kind, address=request.getfixturevalue("scheduler") if kind == "dask" else None)


@pytest.fixture(params=["processes", "dask"])
def many_workers(request: pytest.FixtureRequest) -> Engine:
    kind: Kind = request.param
    return engine(kind, address=request.getfixturevalue("scheduler") if kind == "dask" else None)


def test_every_engine_makes_the_same_files(tmp_path: Path, any_engine: Engine) -> None:
    job, seen = Squares(tmp_path), []
    run_shards(job, SHARDS, any_engine, seen.append)
    assert job.content(SHARDS) == WANTED
    assert seen[-1] == len(SHARDS)
    assert seen == sorted(seen)
    assert not (tmp_path / "queue").exists()


def test_a_model_is_loaded_once_a_worker(tmp_path: Path, many_workers: Engine) -> None:
    job = Squares(tmp_path, seconds=0.05)
    run_shards(job, SHARDS, many_workers, unwatched)
    assert 1 <= len(job.pids()) <= 2
    assert len(set(job.pids())) == len(job.pids())
    assert os.getpid() not in job.pids()


def test_only_what_is_missing_is_computed(tmp_path: Path, any_engine: Engine) -> None:
    job = Squares(tmp_path)
    for shard in (0, 3, 4):
        job.file(shard).write_text("kept")
    run_shards(job, SHARDS, any_engine, unwatched)
    assert [job.file(shard).read_text() for shard in (0, 3, 4)] == ["kept"] * 3
    assert job.file(5).read_text() == "25"


def test_nothing_is_started_when_nothing_is_missing(tmp_path: Path, any_engine: Engine) -> None:
    job = Squares(tmp_path)
    for shard in SHARDS:
        job.file(shard).write_text("kept")
    run_shards(job, SHARDS, any_engine, unwatched)
    assert not (tmp_path / "starts").exists()


def test_a_shard_whose_worker_dies_is_done_again(tmp_path: Path, many_workers: Engine) -> None:
    job = Squares(tmp_path)
    job.plan("dies", 2, times=1)
    job.plan("dies", 7, times=2)
    run_shards(job, SHARDS, many_workers, unwatched)
    assert job.content(SHARDS) == WANTED


def test_a_shard_that_always_kills_is_given_up_with_its_images(tmp_path: Path, many_workers: Engine) -> None:
    job = Squares(tmp_path)
    job.plan("dies", 5, times=99)
    with pytest.raises(ShardsFailedError, match=r"shard 5 \(images 5a, 5b\): its worker was killed") as caught:
        run_shards(job, SHARDS, many_workers, unwatched)
    assert len(caught.value.entries) == 1
    others = [shard for shard in SHARDS if shard != 5]
    assert [job.file(shard).read_text() for shard in others] == [str(shard**2) for shard in others]
    assert (tmp_path / "dies-5").read_text() == "96", "three attempts"


def test_a_defect_in_one_shard_is_tried_three_times_and_named(tmp_path: Path, any_engine: Engine) -> None:
    job = Squares(tmp_path)
    job.plan("breaks", 5, times=99)
    job.plan("breaks", 8, times=2)
    with pytest.raises(ShardsFailedError, match=r"shard 5 .*: RuntimeError: a defect \(squares.py:\d+\)"):
        run_shards(job, SHARDS, any_engine, unwatched)
    assert (tmp_path / "breaks-5").read_text() == "96"
    assert job.file(8).read_text() == "64"


def test_what_cannot_be_mended_by_trying_again_is_tried_once(tmp_path: Path, any_engine: Engine) -> None:
    job = Squares(tmp_path)
    job.plan("refuses", 5, times=99)
    with pytest.raises(ShardsFailedError, match="photo of 5 is gone"):
        run_shards(job, SHARDS, any_engine, unwatched)
    assert (tmp_path / "refuses-5").read_text() == "98"
    (tmp_path / "refuses-5").unlink()
    run_shards(job, SHARDS, any_engine, unwatched)
    assert job.content(SHARDS) == WANTED


@pytest.mark.parametrize("trouble", ["breaks", "refuses"])
def test_a_run_whose_first_shards_all_fail_alike_ends(tmp_path: Path, any_engine: Engine, trouble: str) -> None:
    """Their errors differ in the shard's number, or not at all."""
    job = Squares(tmp_path)
    for shard in SHARDS:
        job.plan(trouble, shard, times=99)
    with pytest.raises(FailingAlikeError, match=r"first \d shards all failed alike.* shard 0 .*(a defect|is gone)"):
        run_shards(job, SHARDS, any_engine, unwatched)
    left = [int((tmp_path / f"{trouble}-{shard}").read_text()) for shard in SHARDS]
    assert min(left) == 98, "none was tried twice"
    assert sum(99 - tries for tries in left) <= 3 + 2
    for shard in SHARDS:
        job.plan(trouble, shard, times=0)
    run_shards(job, SHARDS, any_engine, unwatched)
    assert job.content(SHARDS) == WANTED


@pytest.mark.parametrize("good", [0, 2])
def test_a_run_that_computed_one_shard_tries_all_others(tmp_path: Path, good: int) -> None:
    job = Squares(tmp_path)
    for shard in SHARDS:
        job.plan("breaks", shard, times=99 if shard != good else 0)
    with pytest.raises(ShardsFailedError, match="11 of 12 shards could not be computed"):
        run_shards(job, SHARDS, engine("serial"), unwatched)
    assert all((tmp_path / f"breaks-{shard}").read_text() == "96" for shard in SHARDS if shard != good)


def test_first_shards_that_fail_in_different_ways_do_not_end_the_run(tmp_path: Path) -> None:
    job = Squares(tmp_path)
    for shard in range(4):
        job.plan("breaks" if shard % 2 else "refuses", shard, times=99)
    with pytest.raises(ShardsFailedError, match="4 of 12 shards could not be computed"):
        run_shards(job, SHARDS, engine("serial"), unwatched)
    assert job.content(SHARDS[4:]) == WANTED[4:]


def test_a_full_disk_ends_the_run(tmp_path: Path, any_engine: Engine) -> None:
    job = Squares(tmp_path)
    for shard in SHARDS:
        job.plan("full", shard, times=99)
    with pytest.raises(StoreError, match="disk is full"):
        run_shards(job, SHARDS, any_engine, unwatched)
    assert not any(job.is_done(shard) for shard in SHARDS)


@pytest.mark.parametrize("kind", ["processes", pytest.param("dask", marks=pytest.mark.slow)])
def test_workers_killed_from_outside_lose_nothing(tmp_path: Path, kind: Kind) -> None:
    job, killed = Squares(tmp_path, seconds=0.1), 0

    def kill_now_and_then() -> None:
        nonlocal killed
        seen: set[int] = set()
        while killed < 5 and not all(job.is_done(shard) for shard in SHARDS):
            time.sleep(0.3)
            for pid in [pid for pid in job.pids() if pid not in seen][-1:]:
                seen.add(pid)
                with contextlib.suppress(ProcessLookupError):  # ended with the one that was killed before
                    os.kill(pid, signal.SIGKILL)
                    killed += 1

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    # More attempts than kills: all of them may hit the same shard.
    run_shards(job, SHARDS, engine(kind, attempts=6), unwatched)
    killer.join()
    assert killed
    assert job.content(SHARDS) == WANTED


@pytest.mark.parametrize("trouble", ["refuses", "breaks"])
def test_a_model_that_cannot_be_loaded_ends_the_run(tmp_path: Path, any_engine: Engine, trouble: str) -> None:
    job = Squares(tmp_path)
    job.plan(trouble, LOADING, times=99)
    with pytest.raises(RefdiffError, match=r"a defect|is gone"):
        run_shards(job, SHARDS, any_engine, unwatched)
    assert not any(job.is_done(shard) for shard in SHARDS)


def test_workers_that_die_while_they_load_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refdiff.engine.processes.DEATHS_IN_VAIN", 3)
    job = Squares(tmp_path)
    job.plan("dies", LOADING, times=99)
    with pytest.raises(ModelError, match=r"ended \(exit code -9\) before one began a shard"):
        run_shards(job, SHARDS, engine("processes"), unwatched)
    job.plan("dies", LOADING, times=0)
    run_shards(job, SHARDS, engine("processes"), unwatched)
    assert job.content(SHARDS) == WANTED


@pytest.mark.slow
@pytest.mark.parametrize("is_local", [True, False])
def test_workers_of_dask_that_die_while_they_load_end_the_run(tmp_path: Path, scheduler: str, is_local: bool) -> None:
    job = Squares(tmp_path)
    job.plan("dies", LOADING, times=1000)
    with pytest.raises(ModelError, match=r"workers ended \(killed, as Dask says\) before one began a shard"):
        run_shards(job, SHARDS, engine("dask", None if is_local else scheduler), unwatched)
    assert 8 <= len(job.pids()) <= 40
    job.plan("dies", LOADING, times=0)
    run_shards(job, SHARDS, engine("dask", None if is_local else scheduler), unwatched)
    assert job.content(SHARDS) == WANTED


@pytest.mark.slow
def test_some_deaths_while_loading_do_not_end_the_run_of_dask(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    job = Squares(tmp_path)
    job.plan("dies", LOADING, times=5)
    run_shards(job, SHARDS, engine("dask"), unwatched)
    assert job.content(SHARDS) == WANTED


def test_a_queue_that_cannot_be_written_ends_the_run(tmp_path: Path, any_engine: Engine) -> None:
    """A folder where the note of an attempt should be: the same error as of a disk that is full."""
    job = Squares(tmp_path)
    for shard in SHARDS:
        (tmp_path / "queue" / f"{shard:06d}.json.partial").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"json.partial: cannot be written \(Is a directory\)"):
        run_shards(job, SHARDS, any_engine, unwatched)
    assert not any(job.is_done(shard) for shard in SHARDS)


INTERRUPTED = """
import sys
from pathlib import Path
from refdiff.command import run_command
from refdiff.engine.run import run_shards
from tests.engine.squares import Squares
from tests.engine.test_run import SHARDS, engine, unwatched
if __name__ == "__main__":
    job = Squares(Path(sys.argv[1]), seconds=30.0)
    run_command(lambda: run_shards(job, SHARDS, engine("processes"), unwatched))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_run(tmp_path: Path, how: signal.Signals) -> None:
    script, job = tmp_path / "interrupted.py", Squares(tmp_path)
    script.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        while len(job.pids()) < 2:
            assert run.poll() is None
            time.sleep(0.05)
        # Ctrl-C reaches every process of the terminal, a kill only the one it names.
        os.killpg(run.pid, how) if how == signal.SIGINT else run.kill()
        _, said = run.communicate(timeout=20)  # also waits for the workers, which have the same standard error
    assert "Traceback" not in said
    if how == signal.SIGINT:
        assert run.returncode == 130
        assert said.strip() == "interrupted; run the same command again (`dvc repro`, if that started it) to go on"


def test_parts_share_the_shards_among_them(tmp_path: Path) -> None:
    job = Squares(tmp_path)
    run_shards(job, SHARDS, engine("serial", part="2/3"), unwatched)
    assert [shard for shard in SHARDS if job.is_done(shard)] == [1, 4, 7, 10]
    for part in ("1/3", "3/3"):
        run_shards(job, SHARDS, engine("serial", part=part), unwatched)
    assert job.content(SHARDS) == WANTED


def test_a_dask_address_where_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("refdiff.engine.cluster.CONNECT_SECONDS", 1)
    with pytest.raises(ModelError, match="no Dask scheduler answers there"):
        run_shards(Squares(tmp_path), SHARDS, engine("dask", address="tcp://127.0.0.1:9"), unwatched)


@pytest.mark.slow
def test_a_dask_scheduler_that_is_lost_ends_the_run(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    scheduler, address = tmp_path / "scheduler.json", {"PYTHONPATH": str(Path(__file__).parents[2])}
    job = Squares(tmp_path, seconds=0.5)

    def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(scheduler), *arguments]
        return subprocess.Popen(
            [*command, "--dashboard-address", ":0"],
            cwd=tmp_path,
            env={**os.environ, **address},
            stderr=subprocess.DEVNULL,
        )

    with (
        start("dask_scheduler", "--host", "127.0.0.1", "--port", "0") as lost,
        start("dask_worker", "--nthreads", "1") as worker,
    ):
        while not scheduler.is_file():
            assert lost.poll() is None
            time.sleep(0.1)

        def lose() -> None:
            while not job.is_done(0):
                time.sleep(0.05)
            lost.kill()

        killer = threading.Thread(target=lose, daemon=True)
        killer.start()
        with pytest.raises(ModelError, match="the Dask scheduler was lost while the run went on"):
            run_shards(job, SHARDS, engine("dask", json.loads(scheduler.read_text())["address"]), unwatched)
        worker.terminate()
    killer.join()
    run_shards(job, SHARDS, engine("serial"), unwatched)
    assert job.content(SHARDS) == WANTED


def test_each_worker_has_an_accelerator_of_its_own(tmp_path: Path) -> None:
    """In processes of their own: a process keeps what it took."""
    script = (
        "import os, sys, time; from refdiff.engine.accelerators import take_accelerator as take\n"
        "from refdiff.errors import ModelError\n"
        "try: print(take(('4', '7')), os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
        "except ModelError as error: print(error, flush=True)\n"
        "sys.stdin.read()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    workers = []
    said = []
    for _ in range(3):
        worker = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        assert worker.stdout is not None
        said.append(worker.stdout.readline().strip())
        workers.append(worker)
    assert said[:2] == ["4 4", "7 7"]
    assert "4, 7 are all taken" in said[2]
    workers[0].kill()
    workers[0].wait()
    again = subprocess.run(
        [sys.executable, "-c", script], input="", capture_output=True, env=environment, text=True, check=True
    )
    assert again.stdout.strip() == "4 4"
    for worker in workers[1:]:
        worker.communicate("")
    for stream in (workers[0].stdin, workers[0].stdout):
        assert stream is not None
        stream.close()
