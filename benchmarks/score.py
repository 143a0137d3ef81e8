"""`python -m benchmarks.score`: scoring, evaluation and sweeps on a synthetic split of the size of RefCOCO val.

Every figure is that of a process of its own, imports included. `dvc repro` runs in a DVC project made of this code and
the synthetic artifacts, whose upstream stages are taken as they are.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from benchmarks.extent import MINIATURE, Extent
from benchmarks.synthetic import SPLIT, make_split
from benchmarks.table import Cost, print_rows, run_process
from refdiff.command import run_command

CODE = Path(__file__).parents[1]
STAGES = ("pool_masks", "fuse_scores", "evaluate_masks")
METHODS = ("ref-diff-plus", "released")  # a readout that is linear, and one that is not
SWEPT = ("generative_weight=0:1", "beta=0:1", "text_local.head=0:1", "text_global.head=0:1")


def measure_stages(root: Path, methods: Sequence[str], weightings: int) -> list[tuple[str, Cost]]:
    """Cost of pooling, of each method's two stages, and of a sweep."""
    costs = [("pool_masks", run_process(["stages.pool_masks", SPLIT], root))]
    for name in methods:
        for stage in ("fuse_scores", "evaluate_masks"):
            costs.append((f"{stage} {name}", run_process([f"stages.{stage}", SPLIT, name], root)))
    for name in METHODS:
        sweep = ["refdiff.cli", "sweep", name, "--split", SPLIT, "--random", str(weightings), "-o", str(root / "sweep")]
        for field in SWEPT:
            sweep += ["--set", field]
        costs.append((f"sweep {name}, {weightings} weightings", run_process(sweep, root)))
    return costs


def measure_repro(root: Path) -> list[tuple[str, Cost]]:
    """Cost of `dvc repro` of a method's metrics after one of its weights was changed."""
    for name in ("refdiff", "stages"):
        shutil.copytree(CODE / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "models"))
    shutil.copy2(CODE / ".dvcignore", root)
    stages: dict[str, Any] = yaml.safe_load((CODE / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    kept = {"stages": {name: stages[name] for name in STAGES}}
    (root / "dvc.yaml").write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=root, check=True, capture_output=True)
    file, costs = root / "params.yaml", []
    for name in METHODS:
        target = f"evaluate_masks@{SPLIT}-{name}"
        run_process(["dvc", "repro", target], root)
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
        params["methods"][name]["beta"] = 0.35
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
        costs.append((f"dvc repro of {name}, one weight changed", run_process(["dvc", "repro", target], root)))
    return costs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.score", description=__doc__)
    parser.add_argument("--split", type=Path, metavar="FOLDER", help="made by benchmarks.synthetic; else it is made")
    parser.add_argument("--weightings", type=int, default=1000)
    parser.add_argument("--smallest", action="store_true", help="a few small maps: a test that it runs")
    arguments = parser.parse_args()
    extent = MINIATURE if arguments.smallest else Extent()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.split
        if root is None:
            root = Path(folder) / "project"
            root.mkdir()
            # Not in this process: the system counts its peak of memory to the processes that it starts.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(make_split, root, extent).result()
        methods = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))["methods"]
        costs = measure_stages(root, METHODS if arguments.smallest else list(methods), arguments.weightings)
        if not arguments.smallest:
            costs += measure_repro(root)
    print_rows(
        "Scoring, each a process of its own",
        ("what", "process, s", "wall, s", "memory, GB"),
        [[name, f"{cost.process_s:.1f}", f"{cost.wall_s:.1f}", f"{cost.memory_gb:.2f}"] for name, cost in costs],
    )


if __name__ == "__main__":
    run_command(main)
