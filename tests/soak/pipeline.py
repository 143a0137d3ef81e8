"""Rounds on the pipeline itself: the three stages that take hours, with the demo's networks and every engine."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from tests.pipeline.project import make_project
from tests.soak.harm import harm

SPLIT = "demo_val"
STAGES = (("extract_attention", "paper"), ("extract_attention", "released"), ("propose_masks", "regions"))
EMBED = ("embed_clip", "regions")
IMAGES = 12
SHARD = 4
MOMENTS_S = (1.0, 10.0)  # of a run's life in which it is hit


class PipelineSoak:
    """A small demo, its stages and what is done to them.

    Args:
        folder: Where the project is made.
        seed: Of the faults' order and places.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.project = make_project(folder / "project", _shrink)
        self.faults: Counter[str] = Counter()
        self.compared = 0
        self.differed = 0
        self.project.run(sys.executable, "-m", "dvc", "repro", "-q")
        self.expected = {stage: self.content(stage) for stage in (*STAGES, EMBED)}
        self.scores = self._predictions()

    def round(self) -> None:
        """Take the results of one stage away, break it on its way to them, finish it, and compare."""
        stage = self.rng.choice((*STAGES, EMBED))
        shutil.rmtree(self.project.root / ".work", ignore_errors=True)
        self._remove(stage)
        for _ in range(self.rng.randint(1, 5)):
            self.hit(stage)
            if self.rng.random() < 0.5:
                self.damage_work()
        self.project.run(*self._command(stage, whole=True))
        self.compare(self.content(stage), self.expected[stage], " ".join(stage))
        if self.rng.random() < 0.2:
            # DVC finds everything as it was; what is scored from it is equal too.
            self.project.run(sys.executable, "-m", "dvc", "repro", "-q", "-s", "-f", "fuse_scores")
            self.compare(self._predictions(), self.scores, "fuse_scores")

    def hit(self, stage: tuple[str, str]) -> None:
        """Start the stage with some engine; at some moment kill it, one of its workers, or interrupt it."""
        command = self._command(stage, whole=False)
        with subprocess.Popen(
            command, cwd=self.project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as running:
            ends = time.monotonic() + self.rng.uniform(*MOMENTS_S)
            while time.monotonic() < ends and running.poll() is None:
                time.sleep(0.05)
            if running.poll() is not None:
                self.faults["runs that ended before they were hit"] += 1
                return
            workers = psutil.Process(running.pid).children(recursive=True)
            if workers and self.rng.random() < 0.6:
                _kill(self.rng.choice(workers))
                self.faults["killed workers"] += 1
                if self.rng.random() < 0.5:  # the run replaces it, and ends by itself
                    if running.wait(timeout=300):
                        self.faults["killed workers that ended their run in order"] += 1
                    return
            how = self.rng.choice((signal.SIGKILL, signal.SIGINT))
            os.killpg(running.pid, how)
            self.faults["killed runs" if how is signal.SIGKILL else "interrupted runs"] += 1
            for worker in workers if how is signal.SIGKILL else ():
                _kill(worker)  # those in a session of their own

    def damage_work(self) -> None:
        """Break a file below .work, whichever it is."""
        files = sorted(path for path in self.project.root.glob(".work/**/*") if path.is_file())
        if files:
            harm(self.rng.choice(files), self.rng, self.faults)

    def content(self, stage: tuple[str, str]) -> dict[str, bytes]:
        """All files of a stage's result."""
        place = self._place(stage)
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
        return {path.relative_to(place.parent).as_posix(): path.read_bytes() for path in files}

    def compare(self, found: dict[str, bytes], expected: dict[str, bytes], what: str) -> None:
        """Count a result, and whether it differs from that of an uninterrupted run."""
        self.compared += 1
        if found != expected:
            self.differed += 1
            names = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            print(f"{what} differs: {names[:5]} of {len(names)}", file=sys.stderr)

    def _command(self, stage: tuple[str, str], *, whole: bool) -> list[str]:
        engine = self.rng.choice((["serial"], ["processes", "--workers", "2"], ["dask", "--workers", "2"]))
        part = [] if whole or self.rng.random() < 0.7 else ["--part", f"{self.rng.randint(1, 2)}/2"]
        return [sys.executable, "-m", f"stages.{stage[0]}", SPLIT, stage[1], "--engine", *engine, *part]

    def _place(self, stage: tuple[str, str]) -> Path:
        kind, name = stage
        places = {
            "extract_attention": f"attention/{name}.zarr",
            "propose_masks": f"proposals/{name}.parquet",
            "embed_clip": f"clip/{name}.zarr",
        }
        return self.project.root / "artifacts" / SPLIT / places[kind]

    def _remove(self, stage: tuple[str, str]) -> None:
        place = self._place(stage)
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _predictions(self) -> dict[str, bytes]:
        root = self.project.root / "artifacts" / SPLIT
        return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.glob("*/predictions.parquet"))}


def _shrink(params: dict[str, Any]) -> None:
    params["draw_scenes"]["images"] = IMAGES
    params["extract_attention"]["store"]["shard_expressions"] = SHARD


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
