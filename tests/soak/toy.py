"""Rounds on a small project: the real store, work folder, writer, commands and DVC, with values drawn by rule."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.soak.harm import harm
from tests.store.toy_project import ToyProject, make_toy, stage_environment, start_stage

PAUSE = 0.03


class ToySoak:
    """One project and what is done to it.

    Args:
        folder: Where the project is made.
        seed: Of the faults' order and places.
        link: Type of link of DVC's cache.
    """

    def __init__(self, folder: Path, seed: int, link: str) -> None:
        self.rng = random.Random(seed)
        whole = make_toy(folder / "whole", with_self=True)
        self.run(whole, "dvc", "repro", "-q")
        self.expected = whole.content()
        self.project = make_toy(folder / "project", link, with_self=True, pause=PAUSE)
        self.faults: Counter[str] = Counter()
        self.life_s = 2.5
        self.compared = 0
        self.differed = 0

    def run(self, project: ToyProject, *module: str) -> int:
        """A command in a process of its own; its exit code, which must be 0 or 1."""
        command = [sys.executable, "-m", *module]
        done = subprocess.run(
            command, cwd=project.root, env=stage_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.returncode

    def round(self) -> None:
        """Start over, kill a few times, finish, damage a few times, repair, and compare after each."""
        project = self.project
        for _ in range(self.rng.randint(1, 4)):
            self.kill()
            if self.rng.random() < 0.5:
                self.damage_work()
        self.run(project, "dvc", "repro", "-q")
        self.compare()
        for _ in range(self.rng.randint(1, 2)):
            self.rng.choice((self.damage_store, self.lose_work, self.damage_store))()
            self.run(project, "refdiff.cli", "store", "repair", str(project.store))
            self.run(project, "dvc", "repro", "-q")
            self.compare()
        self.forget()

    def forget(self) -> None:
        """Make the next round compute everything: no work, no output, no run that DVC remembers."""
        for place in (".work", "artifacts", ".dvc/cache", ".dvc/tmp", "dvc.lock"):
            subprocess.run(["rm", "-rf", str(self.project.root / place)], check=True)

    def kill(self) -> None:
        """Kill the stage at a moment of its life, which is as long as it was when it was last seen to end."""
        started = time.monotonic()
        with start_stage(self.project.root) as stage:
            moment = started + self.rng.uniform(0.1, 1) * self.life_s
            while time.monotonic() < moment and stage.poll() is None:
                time.sleep(0.01)
            finished = stage.poll() is not None
            if finished:
                self.life_s = time.monotonic() - started
            else:
                os.killpg(stage.pid, self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT)))
        self.faults["runs that ended before they could be killed" if finished else "kills"] += 1

    def damage_work(self) -> None:
        """Break a file of the work folder, whichever it is."""
        files = [path for path in self.project.root.glob(".work/*/*/**/*") if path.is_file() and path.name != "lock"]
        if files:
            harm(self.rng.choice(sorted(files)), self.rng, self.faults)

    def damage_store(self) -> None:
        """The same with a published file, through whatever link it is."""
        files = sorted(path for path in self.project.store.rglob("*") if path.is_file())
        harm(self.rng.choice(files), self.rng, self.faults)

    def lose_work(self) -> None:
        """Remove the work folder and damage the store: what remains is what a colleague has."""
        subprocess.run(["rm", "-rf", str(self.project.root / ".work")], check=True)
        self.faults["lost work folders"] += 1
        self.damage_store()

    def compare(self) -> None:
        """Compare what is published with what an uninterrupted run published."""
        found = self.project.content()
        self.compared += 1
        if found != self.expected:
            self.differed += 1
            names = sorted(name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name))
            print(f"differs: {names[:5]} of {len(names)}", file=sys.stderr)
