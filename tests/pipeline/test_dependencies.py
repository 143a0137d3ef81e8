"""dvc.yaml against the code: what a stage imports is what DVC watches."""

import ast
from pathlib import Path

import pytest
import yaml

from refdiff import __version__
from refdiff.params import find, read_params
from refdiff.source_code import import_closure

ROOT = Path(__file__).parents[2]

# Messages, paths, and the reading of parameters (whose values DVC watches by themselves): a change here cannot change
# a result that passes, and must not cost hours of U-Net time.
NEUTRAL = {
    Path("refdiff/command.py"),
    Path("refdiff/errors.py"),
    Path("refdiff/file_kind.py"),
    Path("refdiff/layout.py"),
    Path("refdiff/parameter_words.py"),
    Path("refdiff/params.py"),
    Path("refdiff/progress.py"),
    Path("refdiff/paths.py"),
    Path("refdiff/whole_file.py"),
    # Who computes a shard, and not what is in it: the engines' tests hold that every engine makes the same bits.
    *(file.relative_to(ROOT) for file in ROOT.glob("refdiff/engine/*.py")),
    # Ends a stage before it begins, or not; its own imports are not followed.
    *(file.relative_to(ROOT) for file in ROOT.glob("refdiff/checking/*.py")),
}

PACKAGES = ("demo", "refdiff", "stages")

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def _package_files() -> set[Path]:
    return {file.relative_to(ROOT) for name in PACKAGES for file in ROOT.glob(f"{name}/**/__init__.py")}


def test_package_files_hold_no_code_but_the_version_and_how_threads_wait() -> None:
    for file in _package_files() - {Path("stages/__init__.py")}:
        body = ast.parse((ROOT / file).read_text(encoding="utf-8")).body
        code = [ast.unparse(node) for node in body if not (isinstance(node, ast.Expr) and _is_text(node.value))]
        expected = [
            "import os",
            "os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')",
            f"__version__ = {__version__!r}",
        ]
        assert code == (expected if file == Path("refdiff/__init__.py") else []), file


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _entry(name: str) -> dict:
    entry = STAGES[name]
    return entry.get("do", entry)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_names_every_file_that_it_imports(name: str) -> None:
    watched = [Path(dep) for dep in _entry(name)["deps"] if "${" not in dep]
    imported = import_closure(Path(f"stages/{name}.py"), ROOT, PACKAGES) - NEUTRAL - _package_files()
    missing = {file for file in imported if not any(file == dep or dep in file.parents for dep in watched)}
    assert not missing, f"dvc.yaml, {name}: add to deps {sorted(map(str, missing))}"


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_names_no_code_that_it_does_not_import(name: str) -> None:
    watched = [Path(dep) for dep in _entry(name)["deps"] if dep.startswith(PACKAGES) and dep.endswith(".py")]
    assert set(watched) <= import_closure(Path(f"stages/{name}.py"), ROOT, PACKAGES)


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_stage_is_its_script_and_has_its_section(name: str) -> None:
    params = read_params(ROOT / "refdiff/presets/demo.yaml")
    assert f"python -m stages.{name}" in _entry(name)["cmd"]
    for param in _entry(name)["params"]:
        find(params, param.split(".${")[0])  # refused where it is not there


@pytest.mark.parametrize("name", ["measure_overlap", "fuse_scores", "evaluate_masks", "render_report"])
def test_cheap_stages_import_no_model_library(name: str) -> None:
    dear = ("torch", "diffusers", "transformers", "open_clip", "spacy", "pandas")
    for file in import_closure(Path(f"stages/{name}.py"), ROOT, PACKAGES):
        lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
        bad = [
            line
            for line in lines
            if line.strip().startswith(tuple(f"{k} {lib}" for lib in dear for k in ("import", "from")))
        ]
        assert not bad, f"{file}: {bad}"
