"""Kill, damage and resume in a loop: `python -m tests.soak --minutes 15`. Not part of the default tests.

Hostile stores are shown to the readers first (`--fuzz`, for that many examples each). Then two kinds of projects are
broken in every way that these know, in turn, until the time is over: small ones (the real store, work folder, writer,
commands and DVC repository; values drawn by rule) under each type of link of DVC's cache, and the pipeline itself
(the demo's networks, the three stages that take hours, every engine). What they publish afterwards is compared, byte
for byte, with what an uninterrupted run published. The last line says how many faults were survived and how many
results differed; any difference ends with exit code 1.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzzing import MODULES
from tests.soak.pipeline import PipelineSoak
from tests.soak.toy import ToySoak
from tests.store.toy_project import stage_environment

LINKS = ("copy", "hardlink", "symlink")


def fuzz(examples: int) -> int:
    """Show the readers hostile stores; the exit code of the tests that do."""
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=0", *MODULES]
    environment = {**stage_environment(), "REFDIFF_FUZZ_EXAMPLES": str(examples)}
    return subprocess.run(command, env=environment, check=False).returncode


def main() -> None:
    """Soak, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="how long, the fuzzing included")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the faults")
    parser.add_argument("--fuzz", type=int, default=1000, help="hostile stores that the readers are shown, each")
    arguments = parser.parse_args()
    # The same bits need the same number of threads in every process.
    os.environ["OMP_NUM_THREADS"] = "1"
    ends = time.monotonic() + 60 * arguments.minutes
    hostile = fuzz(arguments.fuzz) if arguments.fuzz else 0
    rounds = 0
    with tempfile.TemporaryDirectory() as folder:
        pipeline = PipelineSoak(Path(folder, "pipeline"), arguments.seed)
        toys = [ToySoak(Path(folder, link), arguments.seed + 1 + n, link) for n, link in enumerate(LINKS)]
        soaks = [soak for toy in toys for soak in (pipeline, toy)]
        while time.monotonic() < ends:
            soaks[rounds % len(soaks)].round()
            rounds += 1
    for name, group in (("small projects", toys), ("pipeline", [pipeline])):
        counted: Counter[str] = sum((soak.faults for soak in group), Counter())
        print(f"{name}: {', '.join(f'{count} {fault}' for fault, count in sorted(counted.items()))}")
    faults: Counter[str] = sum((soak.faults for soak in [pipeline, *toys]), Counter())
    survived = sum(count for fault, count in faults.items() if not fault.startswith("runs"))
    compared, differed = (sum(getattr(soak, name) for soak in [pipeline, *toys]) for name in ("compared", "differed"))
    print(f"{survived} faults survived in {rounds} rounds; {compared} results compared, {differed} differed")
    if differed or hostile:
        sys.exit(1)


if __name__ == "__main__":
    main()
