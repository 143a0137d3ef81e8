"""extract_attention with every engine, in parts, and with a worker that is really killed: the same bits.

One thread for each worker, as the bits of a sum depend on how many threads share it.
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refdiff.diffusion import facts, job
from refdiff.diffusion.extraction import Extracted, extract_split
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.shards import compute_shards, read_sentences
from refdiff.engine.settings import SERIAL, Engine, EngineSettings, Kind, Part
from refdiff.errors import ImageError, StoreMismatchError
from refdiff.layout import SplitLayout
from tests.diffusion.rows import PAPER, SECTION, make_capture, make_section
from tests.diffusion.test_extraction import TOKENS, content, write_inputs

STORE = {**SECTION["store"], "shard_expressions": 1}
SHARDS = 5


def make_engine(kind: Kind, workers: int, part: str = "1/1", attempts: int = 3) -> Engine:
    settings = EngineSettings(kind=kind, workers=workers, address=None, accelerators=(), attempts=attempts)
    return Engine(settings, Part.parse(part))


def extract(layout: SplitLayout, engine: Engine) -> Extracted:
    progress: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        progress.append((done, total))

    made = extract_split(layout, "paper", make_capture(PAPER), make_section(store=STORE), report, engine)
    assert progress == sorted(progress)
    assert progress[-1][0] == progress[-1][1]
    return made


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The store that one process makes."""
    layout = write_inputs(tmp_path_factory.mktemp("serial"), TOKENS)
    assert extract(layout, SERIAL).computed == SHARDS
    return content(layout.attention("paper"))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SplitLayout:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return write_inputs(tmp_path, TOKENS)


@pytest.mark.slow
def test_processes_make_the_same_bits_though_one_is_killed(layout: SplitLayout, serial: dict[str, bytes]) -> None:
    killed: list[int] = []

    def kill_the_first() -> None:
        while not (notes := list(layout.root.glob(".work/extract_attention/*/queue/*.json"))):
            time.sleep(0.005)
        pid = int(json.loads(notes[0].read_text())["worker"].split()[1])
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_the_first, daemon=True)
    killer.start()
    made = extract(layout, make_engine("processes", 2))
    killer.join(timeout=1)
    assert killed
    assert made.computed == SHARDS
    assert content(made.path) == serial


@pytest.mark.slow
def test_four_workers_make_the_same_bits_though_five_are_killed(layout: SplitLayout, serial: dict[str, bytes]) -> None:
    """Each at a random moment of its work, by a signal that it cannot see."""
    rng, killed, ended = random.Random(0), set[int](), threading.Event()

    def kill_now_and_then() -> None:
        while len(killed) < 5 and not ended.is_set():
            time.sleep(rng.uniform(0.002, 0.03))
            for note in layout.root.glob(".work/extract_attention/*/queue/*.json"):
                pid = worker_of(note)
                if pid is not None and pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
                    break

    killer = threading.Thread(target=kill_now_and_then, daemon=True)
    killer.start()
    made = extract(layout, make_engine("processes", 4, attempts=9))
    ended.set()
    killer.join(timeout=5)
    assert len(killed) == 5
    assert made.computed == SHARDS
    assert content(made.path) == serial


def worker_of(note: Path) -> int | None:
    """The process that computes a shard now; None where it has just gone."""
    try:
        pid = int(json.loads(note.read_text())["worker"].split()[1])
        os.kill(pid, 0)
    except (OSError, ValueError, KeyError):
        return None
    return pid


@pytest.mark.slow
def test_dask_makes_the_same_bits(layout: SplitLayout, serial: dict[str, bytes]) -> None:
    pytest.importorskip("distributed")
    made = extract(layout, make_engine("dask", 1))
    assert made.computed == SHARDS
    assert content(made.path) == serial


def test_parts_make_the_same_bits_and_a_whole_run_publishes(layout: SplitLayout, serial: dict[str, bytes]) -> None:
    first = extract(layout, make_engine("serial", 1, "1/2"))
    assert (first.computed, first.missing) == (3, 2)
    second = extract(layout, make_engine("serial", 1, "2/2"))
    assert (second.computed, second.missing) == (2, 0)
    assert not layout.attention("paper").exists()
    made = extract(layout, SERIAL)
    assert made.computed == 0
    assert content(made.path) == serial


def test_a_worker_with_other_libraries_is_refused(layout: SplitLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    here = facts.environment_facts

    def elsewhere(*arguments: Any) -> dict[str, Any]:
        found = here(*arguments)
        return {**found, "versions": {**found["versions"], "torch": "0.1"}}

    monkeypatch.setattr(job, "environment_facts", elsewhere)
    with pytest.raises(StoreMismatchError, match="another versions than the run that began the store"):
        extract(layout, SERIAL)


def test_one_shard_is_taken_ahead_and_errors_come_in_turn(tmp_path: Path, extractor: AttentionExtractor) -> None:
    sentences, taken = read_sentences(write_inputs(tmp_path, TOKENS)), []
    (tmp_path / "1.png").unlink()

    def shards() -> Iterator[tuple[int, range]]:
        for shard in range(SHARDS):
            taken.append(shard)
            yield shard, range(shard, shard + 1)

    computed = compute_shards(extractor, sentences, shards(), make_capture(PAPER), None)
    assert taken == []
    for shard in range(3):  # those of the first photo
        assert next(computed)[0] == shard
        assert taken == list(range(shard + 2))
    with pytest.raises(ImageError, match=r"1\.png"):
        next(computed)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
