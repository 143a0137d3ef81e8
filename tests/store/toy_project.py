"""A real git and DVC repository around the toy stage."""

import hashlib
import os
import subprocess
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from dvc.repo import Repo

from tests.store.toy_stage import STORE

SOURCE = Path(__file__).parents[2]
SHARD = "cross_8x8/c/1/0/0/0/0"
DVC_YAML = {
    "stages": {
        "extract_attention": {"cmd": "python -m tests.store.toy_stage", "params": ["toy"], "outs": [STORE.as_posix()]},
        "weigh": {
            "cmd": "python -m tests.store.toy_weigh",
            "params": ["weigh"],
            "deps": [STORE.as_posix()],
            "outs": ["sum.json"],
        },
    }
}


@dataclass(frozen=True, slots=True)
class ToyProject:
    """The repository.

    Attributes:
        root: Its folder.
    """

    root: Path

    @property
    def store(self) -> Path:
        return self.root / STORE

    def set_params(self, **toy: Any) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump({"toy": toy, "weigh": {"weight": 1}}))

    def repro(self) -> list[int]:
        """`dvc repro` in this process; how many shards each run of the stage computed."""
        before = self.runs()
        with chdir(self.root), patch.dict(os.environ, stage_environment()), Repo() as repo:
            repo.reproduce()  # pyright: ignore[reportCallIssue] DVC binds it to the repository
        return self.runs()[len(before) :]

    def runs(self) -> list[int]:
        log = self.root / "runs.log"
        return [int(line) for line in log.read_text().split()] if log.exists() else []

    def is_clean(self) -> bool:
        """Whether `dvc status` finds nothing to do."""
        with chdir(self.root), Repo() as repo:
            return not repo.status()

    def content(self) -> dict[str, bytes]:
        files = (path for path in self.store.rglob("*") if path.is_file())
        return {path.relative_to(self.store).as_posix(): path.read_bytes() for path in files}

    def damage(self, name: str = SHARD) -> None:
        """Change a byte of a published file in place and keep its times, as a failing disk does."""
        flip_byte(self.store / name)

    def cached(self, content: bytes) -> Path:
        """The object of DVC's cache for some bytes."""
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]


def make_toy(root: Path, link: str = "copy", **toy: Any) -> ToyProject:
    """A repository whose cache uses one type of link."""
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / ".dvc").mkdir()
    (root / ".dvc/config").write_text(f"[core]\n    analytics = false\n[cache]\n    type = {link}\n")
    (root / ".dvcignore").write_text((SOURCE / ".dvcignore").read_text())
    (root / ".gitignore").write_text(".work\nruns.log\nsum.json\nartifacts\n")
    (root / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML))
    project = ToyProject(root)
    project.set_params(**toy)
    return project


def start_stage(root: Path) -> subprocess.Popen[str]:
    """The toy stage in a process and a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.toy_stage"],
        cwd=root,
        env=stage_environment(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stage_environment() -> dict[str, str]:
    """Environment of child processes: this checkout's code, this Python first."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(SOURCE)}


def flip_byte(path: Path, place: int = 20) -> None:
    """Change one byte of a file where it lies, whatever links lead to it."""
    times = path.stat()
    mode = times.st_mode & 0o777
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(min(place, times.st_size - 1))
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x55]))
    path.chmod(mode)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
