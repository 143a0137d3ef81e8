"""Ways of breaking a file where it lies, whatever links lead to it."""

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.store.toy_project import flip_byte


def harm(path: Path, rng: random.Random, faults: Counter[str]) -> None:
    """Lose a file, flip one of its bytes or cut it short; the fault is counted."""
    size = path.stat().st_size
    actions: list[tuple[str, Callable[[], object]]] = [("lost files", path.unlink)]
    if size:
        actions.append(("flipped bytes", lambda: flip_byte(path, rng.randrange(size))))
        actions.append(("truncated files", lambda: truncate(path, rng.randrange(size))))
    name, action = rng.choice(actions)
    action()
    faults[name] += 1


def truncate(path: Path, size: int) -> None:
    """Cut a file short."""
    path.chmod(0o644)
    os.truncate(path, size)
