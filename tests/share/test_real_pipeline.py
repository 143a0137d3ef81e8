"""The pipeline itself in two clones: one makes everything, the other pulls, changes a weight, and edits a photo."""

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from refdiff.store.opened import open_store
from tests.pipeline.project import Project, make_project

pytestmark = pytest.mark.slow

METHODS = ("gs", "ref-diff-plus")
SHARD = 8
EDITED = 3
STORE = "artifacts/demo_val/attention/paper.zarr"
MODELS = "refdiff/demo/models"


def shrink(params: dict[str, Any]) -> None:
    params["draw_scenes"]["images"] = 6
    params["extract_attention"]["store"]["shard_expressions"] = SHARD
    for table, kept in (("captures", ("paper",)), ("readouts", ("paper",)), ("methods", METHODS)):
        params[table] = {name: params[table][name] for name in kept}


def dvc(project: Project, *arguments: str) -> str:
    """What the command said, the stages' messages included."""
    done = project.run(sys.executable, "-m", "dvc", *arguments)
    return done.stdout + done.stderr


def ran(said: str) -> list[str]:
    return re.findall(r"^Running stage '([^']+)'", said, flags=re.MULTILINE)


def test_a_colleague_runs_only_the_stages_of_what_changed(tmp_path: Path) -> None:
    maker = make_project(tmp_path / "maker", shrink)
    assert len(ran(dvc(maker, "repro"))) == 10 + 2 * len(METHODS)
    dvc(maker, "remote", "add", "-d", "team", str(tmp_path / "remote"))
    dvc(maker, "push")
    maker.run("git", "add", "-A")
    maker.run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "results")
    maker.run("git", "clone", "-q", str(maker.root), str(tmp_path / "colleague"))
    colleague = Project(tmp_path / "colleague")
    dvc(colleague, "pull")

    # A weight: no stage with a network runs, nor could it.
    (colleague.root / MODELS).rename(tmp_path / "models")
    colleague.edit(lambda params: params["methods"]["ref-diff-plus"].update(generative_weight=0.2))
    expected = ["fuse_scores@demo_val-ref-diff-plus", "evaluate_masks@demo_val-ref-diff-plus", "render_report"]
    assert ran(dvc(colleague, "repro")) == expected
    (tmp_path / "models").rename(colleague.root / MODELS)

    # A photo: without a work folder every shard is computed, and those without its sentences come out as they were.
    before = shards(colleague)
    edit_photo(colleague)
    said = dvc(colleague, "repro", "extract_attention@demo_val-paper")
    assert ran(said) == ["prepare_dataset@demo_val", "parse_text@demo_val", "extract_attention@demo_val-paper"]
    rows = pq.read_table(colleague.root / "artifacts/demo_val/dataset/expressions.parquet")["image_index"].to_numpy()
    concerned = {row // SHARD for row in np.flatnonzero(rows == EDITED).tolist()}
    total = -(-len(rows) // SHARD)
    assert 0 < len(concerned) < total
    assert f"{total} shards, {total} of them computed now" in said
    after = shards(colleague)
    assert {shard for shard in after if after[shard] != before[shard]} == concerned


def edit_photo(project: Project) -> None:
    """Paint over a photo of the demo, and have DVC take that for what the drawing stage made."""
    photo = sorted((project.root / "data/demo/images").iterdir())[EDITED]
    with Image.open(photo) as image:
        pixels = np.array(image)
    pixels[:20, :20] = 128
    Image.fromarray(pixels).save(photo)
    dvc(project, "commit", "-f", "draw_scenes")


def shards(project: Project) -> dict[int, Any]:
    return {shard.index: shard.files for shard in open_store(str(project.root / STORE)).manifest.shards}
