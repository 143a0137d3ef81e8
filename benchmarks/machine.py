"""What the machine at hand can do, and what a piece of work took of it."""

import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

# Side of the square matrices whose product is the machine's peak.
_PEAK_SIDE = {"cpu": 2048, "cuda": 8192}
_SAMPLE_S = 0.01


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work took.

    Attributes:
        seconds: Wall clock.
        peak_bytes: Most memory at a time: on an accelerator all that torch had allocated on it, on a CPU what the
            process had in memory beyond what it had before.
    """

    seconds: float
    peak_bytes: int


def measure(work: Callable[[], object], device: torch.device) -> Cost:
    """Do something once, and say what it took."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        started = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        return Cost(time.perf_counter() - started, torch.cuda.max_memory_allocated(device))
    with _ResidentMemory() as memory:
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
    return Cost(seconds, memory.peak - memory.before)


def matrix_peak(device: torch.device, dtype: torch.dtype, repeats: int) -> float:
    """Floating-point operations a second of a large square matrix product, the best of some tries."""
    side = _PEAK_SIDE[device.type]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    _ = left @ right  # the first one sets up
    seconds = min(measure(lambda: left @ right, device).seconds for _ in range(repeats))
    return 2 * side**3 / seconds


class _ResidentMemory:
    """Samples the process's resident memory in a thread; where the system does not tell, its peak since the start."""

    def __enter__(self) -> "_ResidentMemory":
        self.before = self.peak = _resident_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_S):
            self.peak = max(self.peak, _resident_bytes())


def _resident_bytes() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
