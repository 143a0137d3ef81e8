"""embed_clip with every engine, in parts, and with a worker that is really killed: the same store.

One thread for each worker, as the bits of a sum depend on how many threads share it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from refdiff.clip.embed_split import EmbeddedSplit, embed_split
from refdiff.clip.settings import ClipSettings
from refdiff.engine.settings import SERIAL, Engine, EngineSettings, Kind, Part
from refdiff.errors import StoreMismatchError
from refdiff.layout import SplitLayout
from refdiff.store.work import WorkFolder
from tests.clip.small_model import clip_settings
from tests.clip.small_split import SOURCE, make_split, write_params

ROOT = Path(__file__).parents[2]


def make_engine(kind: Kind, part: str = "1/1") -> Engine:
    settings = EngineSettings(kind=kind, workers=2, address=None, accelerators=(), attempts=3)
    return Engine(settings, Part.parse(part))


def embed(layout: SplitLayout, settings: ClipSettings, engine: Engine) -> EmbeddedSplit:
    progress: list[tuple[int, int]] = []
    made = embed_split(layout, SOURCE, settings, lambda done, total: progress.append((done, total)), engine)
    assert progress == sorted(progress)
    assert progress[-1][0] == progress[-1][1]
    return made


def content(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def settings(small_clip: Path) -> ClipSettings:
    return clip_settings(small_clip)


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory, settings: ClipSettings) -> dict[str, bytes]:
    """The store that one process makes."""
    layout = make_split(tmp_path_factory.mktemp("serial") / "project")
    embed(layout, settings, SERIAL)
    return content(layout.clip(SOURCE))


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SplitLayout:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return make_split(tmp_path / "project")


def test_parts_make_the_same_store_and_a_whole_run_publishes(
    layout: SplitLayout, settings: ClipSettings, serial: dict[str, bytes]
) -> None:
    made = [embed(layout, settings, make_engine("serial", part)) for part in ("1/2", "2/2")]
    assert sum(part.computed for part in made) == 2
    assert made[1].missing == 0
    assert not layout.clip(SOURCE).exists()
    assert embed(layout, settings, SERIAL).computed == 0
    assert content(layout.clip(SOURCE)) == serial


def test_a_worker_with_other_libraries_is_refused(
    layout: SplitLayout, settings: ClipSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = WorkFolder.of

    def begun_elsewhere(path: Path) -> WorkFolder:
        work = of(path)
        work.facts = {**work.facts, "versions": {"torch": "0.1"}}
        return work

    monkeypatch.setattr(WorkFolder, "of", begun_elsewhere)
    with pytest.raises(StoreMismatchError, match="another versions than the run that began the store"):
        embed(layout, settings, SERIAL)


@pytest.mark.slow
def test_processes_make_the_same_store_though_one_is_killed(
    layout: SplitLayout, settings: ClipSettings, serial: dict[str, bytes]
) -> None:
    killed: list[int] = []

    def kill_the_first() -> None:
        while not (notes := list(layout.root.glob(".work/embed_clip/*/queue/*.json"))):
            time.sleep(0.001)
        pid = int(json.loads(notes[0].read_text())["worker"].split()[1])
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    killer = threading.Thread(target=kill_the_first, daemon=True)
    killer.start()
    embed(layout, settings, make_engine("processes"))
    killer.join(timeout=1)
    assert killed
    assert content(layout.clip(SOURCE)) == serial


@pytest.mark.slow
def test_dask_makes_the_same_store(layout: SplitLayout, settings: ClipSettings, serial: dict[str, bytes]) -> None:
    pytest.importorskip("distributed")
    embed(layout, settings, make_engine("dask"))
    assert content(layout.clip(SOURCE)) == serial


@pytest.mark.slow
def test_two_splits_at_the_same_time_share_their_photos(
    layout: SplitLayout, settings: ClipSettings, serial: dict[str, bytes]
) -> None:
    """Each item is in one shard of the pool only, so it was computed once."""
    write_params(layout.root, settings)
    twin = SplitLayout("twin", layout.root)
    shutil.copytree(layout.folder, twin.folder)
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "stages.embed_clip", split, SOURCE, "--engine", kind],
            cwd=layout.root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for split, kind in (("toy", "processes"), ("twin", "serial"))
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    markers = [json.loads(path.read_text()) for path in layout.root.glob(".work/pool/*/*/photos/*/*.json")]
    keys = [key for marker in markers for photo in marker["keys"] for key in photo]
    assert len(keys) == len(set(keys)) == 5 + 4
    assert content(layout.clip(SOURCE)) == content(twin.clip(SOURCE)) == serial
