"""One accelerator a worker: taken by a lock file per device, which the kernel frees when the worker ends."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from refdiff.errors import ModelError

VISIBLE = "CUDA_VISIBLE_DEVICES"

# Kept as long as the process lives; the device is free when it is gone.
_taken: dict[str, FileLock] = {}


def take_accelerator(accelerators: Sequence[str]) -> str | None:
    """Pin this process to an accelerator that no other worker of this host has; once, however often it is called.

    Args:
        accelerators: What CUDA_VISIBLE_DEVICES takes, one each; empty leaves the process as it is.

    Returns:
        The one taken.

    Raises:
        ModelError: All are taken, or the process used one before it could be pinned.
    """
    if not accelerators:
        return None
    if _taken:
        return next(iter(_taken))
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise ModelError("engine.accelerators: this process has opened its device before; start a fresh one")
    folder = Path(tempfile.gettempdir()) / f"refdiff-accelerators-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in accelerators:
        lock = FileLock(folder / f"{name.replace('/', '_')}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _taken[name] = lock
        os.environ[VISIBLE] = name
        return name
    raise ModelError(
        f"engine.accelerators: {', '.join(accelerators)} are all taken on this host; start no more workers than it has"
    )
