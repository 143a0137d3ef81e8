"""The demo's models are installed with the package; its drawing and training are not, and the package needs neither."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from refdiff.demo.models import MODELS
from tests.demo_scene import scene_photo, scene_sentences

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "demo", "refdiff", "stages", "tests")
NOT_INSTALLED = re.compile(r"^\s*(?:from|import)\s+(?:benchmarks|demo|stages|tests)\b.*$", re.MULTILINE)


def test_what_is_installed_imports_nothing_that_is_not() -> None:
    for file in ROOT.glob("refdiff/**/*.py"):
        assert NOT_INSTALLED.findall(file.read_text(encoding="utf-8")) == [], file


@pytest.mark.slow
def test_an_installed_wheel_segments_as_the_clone_does(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77")
    source, site = tmp_path / "source", tmp_path / "site"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = ("-m", "pip", "-q", "--no-cache-dir")
    _run(tmp_path, site, *pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("refdiff-*.whl")
    packed = zipfile.ZipFile(wheel).namelist()
    assert all(re.match(r"refdiff(-[^/]*\.dist-info)?/", name) for name in packed)
    models = [f"models/{file.relative_to(MODELS).as_posix()}" for file in MODELS.rglob("*") if file.is_file()]
    demo = [name.removeprefix("refdiff/demo/") for name in packed if name.startswith("refdiff/demo/")]
    assert sorted(demo) == sorted(["__init__.py", "models.py", "settings.py", *models])

    _run(tmp_path, site, *pip, "install", "--no-deps", "--target", str(site), str(wheel))
    assert Path(_run(tmp_path, site, "-c", "import refdiff; print(refdiff.__file__)")).is_relative_to(site)
    Image.fromarray(scene_photo()).save(tmp_path / "photo.png")
    words = ("segment", "photo.png", *scene_sentences(), "-o")
    _run(tmp_path, site, str(site / "bin/refdiff"), *words, "installed.png")
    _run(tmp_path, ROOT, "-m", "refdiff.cli", *words, "clone.png")
    assert (tmp_path / "installed.png").read_bytes() == (tmp_path / "clone.png").read_bytes()


def _run(folder: Path, path: Path, *words: str) -> str:
    """What Python said in a folder, with packages of `path` before those of the environment."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
