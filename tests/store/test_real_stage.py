"""extract_attention itself, with a network: really killed, and a photo that vanishes between two of its reads."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from refdiff.diffusion.extraction import extract_split
from refdiff.errors import ShardsFailedError
from refdiff.layout import SplitLayout
from refdiff.store.opened import open_store
from refdiff.store.verify import verify_store
from tests.diffusion.rows import ENGINE, MODEL, PAPER, SECTION, make_capture, make_section
from tests.diffusion.test_extraction import TOKENS, content, write_inputs
from tests.store.toy_project import stage_environment
from tests.whole_params import whole_params

pytestmark = pytest.mark.slow

STORE = {**SECTION["store"], "shard_expressions": 1}


def make_inputs(root: Path) -> SplitLayout:
    layout = write_inputs(root, TOKENS)
    shutil.copytree(MODEL, root / "model")
    params = {
        "splits": {"tiny": {}},
        "captures": {"paper": PAPER},
        "extract_attention": {**SECTION, "store": STORE, "model": "model"},
        "engine": ENGINE,
    }
    (root / "params.yaml").write_text(yaml.safe_dump(whole_params(params)))
    return layout


def start(layout: SplitLayout) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.extract_attention", "tiny", "paper"],
        cwd=layout.root,
        env={**stage_environment(), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(layout: SplitLayout) -> str:
    with start(layout) as stage:
        said, message = stage.communicate()
    assert stage.returncode == 0, message
    return said


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path_factory: pytest.TempPathFactory):
    whole, killed = (make_inputs(tmp_path_factory.mktemp(name)) for name in ("whole", "killed"))
    run(whole)
    with start(killed) as stage:
        while not list(killed.root.glob(".work/extract_attention/*/done/*.json")):
            assert stage.poll() is None
            time.sleep(0.001)
        os.killpg(stage.pid, signal.SIGKILL)
    finished = len(list(killed.root.glob(".work/extract_attention/*/done/*.json")))
    assert f"5 shards, {5 - finished} of them computed now" in run(killed)
    assert content(killed.attention("paper")) == content(whole.attention("paper"))
    assert verify_store(open_store(str(killed.attention("paper")))) == []


def test_a_photo_that_vanishes_during_a_run_is_named_and_what_is_done_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    layout = make_inputs(tmp_path)
    photo = layout.root / "1.png"
    photo.rename(photo.with_suffix(".away"))

    def extract() -> int:
        return extract_split(layout, "paper", make_capture(PAPER), make_section(store=STORE), lambda *_: None).computed

    with pytest.raises(ShardsFailedError, match=r"2 of 5 shards .*\n.*images b.*1\.png"):
        extract()
    photo.with_suffix(".away").rename(photo)
    assert extract() == 2  # the three shards of the other photo are done
