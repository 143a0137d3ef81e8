"""A working copy of the project in a folder of its own: a real git and DVC repository with a small demo."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SOURCE = Path(__file__).parents[2]
COPIED = ("demo", "refdiff", "stages", "dvc.yaml", ".dvc/config", ".dvcignore", ".gitignore")


@dataclass(frozen=True, slots=True)
class Project:
    """The copy.

    Attributes:
        root: Its folder.
    """

    root: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of this environment in the project's folder; output is captured as text."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        result = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(
                f"{command}: exit {result.returncode}\n{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
            )
        return result

    def repro(self) -> list[str]:
        """`dvc repro`; the names of the stages that DVC says it ran, in order."""
        output = self.run(sys.executable, "-m", "dvc", "repro").stdout
        return re.findall(r"^Running stage '([^']+)'", output, flags=re.MULTILINE)

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change params.yaml: `change` gets its content and alters it in place."""
        file = self.root / "params.yaml"
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
        change(params)
        file.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def make_project(root: Path, change: Callable[[dict[str, Any]], None]) -> Project:
    """Copy the project with the demo's parameters to `root`, alter these, and make it a git and DVC repository."""
    root.mkdir(parents=True)
    for name in COPIED:
        source = SOURCE / name
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(source, target)
    shutil.copy2(SOURCE / "refdiff/presets/demo.yaml", root / "params.yaml")
    project = Project(root)
    project.run("git", "init", "-q")
    project.edit(change)
    return project
