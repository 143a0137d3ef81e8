"""A cheap stage behind the toy stage: it reads the store and writes one number."""

import json
from pathlib import Path

import yaml

from refdiff.attention.store import AttentionStore
from refdiff.command import run_command
from tests.store.toy_stage import STORE


def main() -> None:
    weight = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["weigh"]["weight"]
    total = sum(float(maps.maps[8, 8].sum()) for _, maps in AttentionStore.open(STORE).iterate())
    Path("sum.json").write_text(json.dumps(weight * total))


if __name__ == "__main__":
    run_command(main)
