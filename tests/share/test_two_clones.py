"""One makes the store, another pulls it, changes a weight, and runs the cheap stages only."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from refdiff.store.console import repair_and_print
from refdiff.store.opened import open_store
from refdiff.store.verify import verify_store
from tests.store.toy_project import SHARD, ToyProject, make_toy, stage_environment

pytestmark = pytest.mark.slow


def run(root: Path, *command: str) -> str:
    """A command as a person types it; what it printed."""
    done = subprocess.run(
        command,
        cwd=root,
        env=stage_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def dvc(project: ToyProject, *arguments: str) -> str:
    return run(project.root, sys.executable, "-m", "dvc", *arguments)


def commit(project: ToyProject) -> None:
    run(project.root, "git", "add", "-A")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run(project.root, "git", *who, "commit", "-q", "--allow-empty", "-m", "result")


def set_remote(project: ToyProject, remote: str) -> None:
    config = project.root / ".dvc/config"
    text = config.read_text().replace("[core]\n", "[core]\n    remote = team\n")
    config.write_text(f"{text}['remote \"team\"']\n    {remote}")


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> ToyProject:
    """The project of the one who has the accelerator, run once."""
    project = make_toy(tmp_path_factory.mktemp("maker") / "project")
    assert project.repro() == [5]
    return project


def test_a_colleague_runs_the_cheap_stages_only(maker: ToyProject, remote: str, tmp_path: Path):
    run(tmp_path, "git", "clone", "-q", "--no-hardlinks", str(commit_copy(maker, remote, tmp_path).root), "colleague")
    colleague = ToyProject(tmp_path / "colleague")
    assert "file" in dvc(colleague, "pull")
    assert colleague.content() == maker.content()
    assert verify_store(open_store(str(colleague.store))) == []

    params = yaml.safe_load((colleague.root / "params.yaml").read_text())
    params["weigh"]["weight"] = 2
    (colleague.root / "params.yaml").write_text(yaml.safe_dump(params))
    said = dvc(colleague, "repro")
    assert "Stage 'extract_attention' didn't change, skipping" in said
    assert "Running stage 'weigh'" in said
    assert "Running stage 'extract_attention'" not in said
    assert colleague.runs() == []
    whole = json.loads((maker.root / "sum.json").read_text())
    assert json.loads((colleague.root / "sum.json").read_text()) == pytest.approx(2 * whole)

    # A shard that was damaged on the way is dropped, and comes from the remote.
    colleague.damage()
    cached = colleague.cached(maker.content()[SHARD])
    cached.unlink()
    repair_and_print(str(colleague.store))
    dvc(colleague, "pull")
    assert colleague.content() == maker.content()


def commit_copy(maker: ToyProject, remote: str, tmp_path: Path) -> ToyProject:
    """The maker's project with a remote of its own, committed and pushed."""
    copy = ToyProject(tmp_path / "maker")
    run(tmp_path, "cp", "-a", str(maker.root), str(copy.root))
    set_remote(copy, remote)
    commit(copy)
    pushed = dvc(copy, "push")
    assert "files pushed" in pushed
    return copy
