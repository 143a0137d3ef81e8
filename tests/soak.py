"""Kill, damage and resume in a loop: `python -m tests.soak --minutes 15`. Not part of the default tests.

A miniature project (the real store, work folder, writer and commands, a real DVC repository; values drawn by rule, no
network) is broken in every way that these know, and what it publishes afterwards is compared, byte for byte, with what
an uninterrupted run published. The last line says how many faults were survived and how many results differed; any
difference ends with exit code 1.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.store.toy_project import ToyProject, flip_byte, make_toy, stage_environment, start_stage

PAUSE = 0.03
LINKS = ("copy", "hardlink", "symlink")


class Soak:
    """One project and what is done to it.

    Args:
        folder: Where the project is made.
        seed: Of the faults' order and places.
        link: Type of link of DVC's cache.
    """

    def __init__(self, folder: Path, seed: int, link: str) -> None:
        self.rng = random.Random(seed)
        whole = make_toy(folder / "whole", with_self=True)
        self.dvc(whole, "repro", "-q")
        self.expected = whole.content()
        self.project = make_toy(folder / "project", link, with_self=True, pause=PAUSE)
        self.faults: Counter[str] = Counter()
        self.differed = 0

    def dvc(self, project: ToyProject, *arguments: str) -> None:
        self.run(project, "dvc", *arguments)

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
        self.dvc(project, "repro", "-q")
        self.compare()
        for _ in range(self.rng.randint(1, 2)):
            self.rng.choice((self.damage_store, self.lose_work, self.damage_store))()
            self.run(project, "refdiff.cli", "store", "repair", str(project.store))
            self.dvc(project, "repro", "-q")
            self.compare()
        self.forget()

    def forget(self) -> None:
        """Make the next round compute everything: no work, no output, no run that DVC remembers."""
        for place in (".work", "artifacts", ".dvc/cache", ".dvc/tmp", "dvc.lock"):
            subprocess.run(["rm", "-rf", str(self.project.root / place)], check=True)

    def kill(self) -> None:
        """Kill the stage at a moment of its life."""
        with start_stage(self.project.root) as stage:
            time.sleep(self.rng.uniform(0.2, 2.5))
            finished = stage.poll() is not None
            if not finished:
                os.killpg(stage.pid, self.rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT)))
        self.faults["runs that ended before they could be killed" if finished else "kills"] += 1

    def damage_work(self) -> None:
        """Flip, truncate or remove a file of the work folder, whichever it is."""
        files = [path for path in self.project.root.glob(".work/*/*/**/*") if path.is_file() and path.name != "lock"]
        if files:
            self.harm(self.rng.choice(files))

    def damage_store(self) -> None:
        """The same with a published file, through whatever link it is."""
        files = sorted(path for path in self.project.store.rglob("*") if path.is_file())
        self.harm(self.rng.choice(files))

    def lose_work(self) -> None:
        """Remove the work folder and damage the store: what remains is what a colleague has."""
        subprocess.run(["rm", "-rf", str(self.project.root / ".work")], check=True)
        self.faults["lost work folders"] += 1
        self.damage_store()

    def harm(self, path: Path) -> None:
        size = path.stat().st_size
        actions: list[tuple[str, Callable[[], object]]] = [("lost files", path.unlink)]
        if size:
            actions.append(("flipped bytes", lambda: flip_byte(path, self.rng.randrange(size))))
            actions.append(("truncated files", lambda: truncate(path, self.rng.randrange(size))))
        name, action = self.rng.choice(actions)
        action()
        self.faults[name] += 1

    def compare(self) -> None:
        found = self.project.content()
        if found != self.expected:
            self.differed += 1
            names = sorted(name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name))
            print(f"differs: {names[:5]} of {len(names)}", file=sys.stderr)


def truncate(path: Path, size: int) -> None:
    """Cut a file where it lies, whatever links lead to it."""
    path.chmod(0o644)
    os.truncate(path, size)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="how long")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the faults")
    parser.add_argument("--fuzz", type=int, default=2000, help="hostile stores that the readers are shown, each")
    arguments = parser.parse_args()
    ends = time.monotonic() + 60 * arguments.minutes
    faults: Counter[str] = Counter()
    differed = rounds = 0
    environment = {**stage_environment(), "REFDIFF_FUZZ_EXAMPLES": str(arguments.fuzz)}
    fuzz = [sys.executable, "-m", "pytest", "-q", "--timeout=0", "tests/store/", "-k", "hostile"]
    hostile = subprocess.run(fuzz, env=environment, check=False).returncode if arguments.fuzz else 0
    with tempfile.TemporaryDirectory() as folder:
        soaks = [Soak(Path(folder, link), arguments.seed + n, link) for n, link in enumerate(LINKS)]
        while time.monotonic() < ends:
            soaks[rounds % len(soaks)].round()
            rounds += 1
        for soak in soaks:
            faults += soak.faults
            differed += soak.differed
    print(", ".join(f"{count} {name}" for name, count in sorted(faults.items())))
    survived = sum(count for name, count in faults.items() if not name.startswith("runs"))
    print(f"{survived} faults survived in {rounds} rounds; {differed} results differed")
    if differed or hostile:
        sys.exit(1)


if __name__ == "__main__":
    main()
