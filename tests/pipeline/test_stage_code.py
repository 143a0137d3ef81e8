"""The code that names kept results: all that a stage imports, but for what is known to change no byte of them."""

import ast
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from refdiff import source_code
from refdiff.clip import job as clip_job
from refdiff.clip import photo_pool
from refdiff.clip.settings import ClipSettings
from refdiff.diffusion import facts
from refdiff.diffusion.latents import LatentRecipe
from refdiff.model_identity import ModelIdentity
from refdiff.params import parse_section, read_params
from refdiff.proposals import job as proposals_job
from refdiff.proposals.regions import RegionsSource
from refdiff.source_code import NEUTRAL, import_closure, is_below
from tests.diffusion.rows import make_section
from tests.proposals.rows import regions

ROOT = Path(__file__).parents[2]
CODES = {
    "extract_attention": facts.CODE,
    "propose_masks": proposals_job.CODE,
    "embed_clip": photo_pool.CODE,
}

# What a stage imports around its job, in the process of the run alone: it names work, asks for it and publishes it, and
# no kept result passes through its hands before it is kept.
AROUND = {
    "extract_attention": {
        "command.py",
        "checking/start.py",
        "progress.py",
        "diffusion/extraction.py",
    },
    "propose_masks": {
        "command.py",
        "checking/start.py",
        "progress.py",
        "proposals/propose_split.py",
        # Masks that are read from a file or from the dataset never enter the pool.
        "proposals/split_opening.py",
        "proposals/file.py",
        "proposals/truth.py",
        "provenance.py",
        "dataset/fields.py",
        "dataset/json_file.py",
        "dataset/polygons.py",
        "dataset/segmentation.py",
        "dataset/settings.py",
        "dataset/unpickle.py",
    },
    "embed_clip": {"command.py", "checking/start.py", "progress.py", "clip/embed_split.py"},
}


@pytest.mark.parametrize("stage", sorted(CODES))
def test_all_that_a_stage_imports_is_digested_or_known_to_be_neutral(stage: str) -> None:
    closure = import_closure(Path(f"stages/{stage}.py"), ROOT, ("refdiff",)) - {Path(f"stages/{stage}.py")}
    imported = {file.relative_to("refdiff").as_posix() for file in closure if file.name != "__init__.py"}
    code = CODES[stage]
    neutral = {file for file in imported if is_below(file, code.neutral)}
    assert set(code.files()) == imported - neutral - AROUND[stage]


def test_a_store_of_embeddings_counts_its_writers_too() -> None:
    more = set(clip_job.CODE.files()) - set(photo_pool.CODE.files())
    assert more == {"clip/shard_maker.py", "clip/store_writer.py", "store/manifest.py"}


@pytest.mark.parametrize("stage", sorted(CODES))
def test_dvc_watches_what_is_digested(stage: str) -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]["deps"]
    watched = frozenset(dep.removeprefix("refdiff/") for dep in deps)
    assert [file for file in CODES[stage].files() if not is_below(file, watched)] == []


def test_no_entry_of_the_neutral_files_is_idle() -> None:
    imported = {name: code.imported() for name, code in CODES.items()}
    for entry in NEUTRAL:
        assert any(is_below(file, frozenset({entry})) for files in imported.values() for file in files), entry
    for name, code in CODES.items():
        assert code.neutral - NEUTRAL <= imported[name]


def test_imports_are_of_the_kinds_that_are_followed() -> None:
    for file in set().union(*(code.imported() for code in CODES.values())):
        for node in ast.walk(ast.parse((source_code.PACKAGE / file).read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{file}: a relative import"
            name = getattr(node, "id", getattr(node, "attr", ""))
            assert name not in ("import_module", "__import__"), f"{file}: an import by name"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's code, which digests are of."""
    only_code = shutil.ignore_patterns("models", "__pycache__")
    copy = shutil.copytree(ROOT / "refdiff", tmp_path / "refdiff", ignore=only_code)
    monkeypatch.setattr(source_code, "PACKAGE", copy)
    return copy


def _attention_facts() -> Mapping[str, Any]:
    return facts.environment_facts(ModelIdentity("model", ROOT, "sha256:0"), make_section())


def _latent_facts() -> Mapping[str, Any]:
    return LatentRecipe("sha256:0", "cpu", 64, "letterbox", None).facts()


def _mask_facts() -> Mapping[str, Any]:
    settings = regions()
    return proposals_job.gather_facts(settings, RegionsSource(settings))


def _view_facts() -> Mapping[str, Any]:
    settings = parse_section(ClipSettings, read_params(ROOT / "refdiff/presets/demo.yaml")["embed_clip"], "embed_clip")
    return photo_pool.gather_facts(settings, ModelIdentity("model", ROOT, "sha256:0"))


@pytest.mark.parametrize(
    ("gather", "deciding", "neutral"),
    [
        (
            _attention_facts,
            ["store/attention_writer.py", "attention/maps.py", "device.py", "photo.py", "diffusion/capture.py"],
            ["store/work.py", "engine/queue.py", "diffusion/extraction.py", "store/zarr_chunks.py", "clip/model.py"],
        ),
        (
            _latent_facts,
            [
                "diffusion/autoencoder.py",
                "diffusion/canvas.py",
                "diffusion/noise.py",
                "photo.py",
                "store/pool_shards.py",
            ],
            [
                "diffusion/model.py",
                "diffusion/denoise.py",
                "diffusion/settings.py",
                "diffusion/shards.py",
                "attention/maps.py",
            ],
        ),
        (
            _mask_facts,
            ["photo_content.py", "store/pool_shards.py", "masks/rle.py", "proposals/regions.py"],
            ["proposals/filters.py", "proposals/file.py", "proposals/threshold.py", "store/hold.py"],
        ),
        (
            _view_facts,
            ["photo_content.py", "store/pool_shards.py", "prefetch.py", "clip/tower.py"],
            ["clip/store_writer.py", "clip/store.py", "engine/worker.py", "diffusion/model.py"],
        ),
    ],
)
def test_an_edit_counts_where_it_can_change_a_result_and_nowhere_else(
    package: Path, gather: Callable[[], Mapping[str, Any]], deciding: list[str], neutral: list[str]
) -> None:
    found = [gather()["code"]]
    for file in deciding:
        _edit(package / file)
        found.append(gather()["code"])
    assert len(set(found)) == 1 + len(deciding)
    for file in neutral:
        _edit(package / file)
    assert gather()["code"] == found[-1]


def test_a_new_module_counts_from_the_moment_that_it_is_imported(package: Path) -> None:
    before = facts.CODE.digest()
    (package / "rounding.py").write_text("STEP = 1\n", encoding="utf-8")
    assert facts.CODE.digest() == before
    _edit(package / "store/attention_writer.py", "from refdiff.rounding import STEP\n")
    assert "rounding.py" in facts.CODE.files()
    there = facts.CODE.digest()
    _edit(package / "rounding.py")
    assert facts.CODE.digest() not in (before, there)


SOURCE = '''"""What it is."""

STEP = 1
"""What it is for."""

class Kind:
    """What it says."""

def run(name):
    """What it does."""
    return f"{name!r} of {STEP:>3}"  # why
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What it is."""', '"""Something else,\n\nat length."""'),
        ('"""What it is for."""\n', ""),
        ('    """What it says."""', '    """Other words."""'),
        ('    """What it does."""\n', "\n    # not a word\n\n"),
        ("  # why", "      # why not"),
        ("(name)", "(\n    name\n)"),
    ],
)
def test_words_and_blank_lines_of_a_module_do_not_count(package: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert _code_with(package, SOURCE) == _code_with(package, SOURCE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STEP = 1", "STEP = 2"),
        ("STEP = 1", 'STEP = "1"'),
        ("!r}", "!s}"),
        (":>3}", ":>4}"),
        (" of ", " in "),
        ("    return f", "    f"),
        ("class Kind:\n", "class Kind:\n    pass\n"),
    ],
)
def test_whatever_runs_of_a_module_counts(package: Path, old: str, new: str) -> None:
    assert old in SOURCE
    assert _code_with(package, SOURCE) != _code_with(package, SOURCE.replace(old, new, 1))


def _code_with(package: Path, source: str) -> str:
    (package / "device.py").write_text(source, encoding="utf-8")
    return facts.CODE.digest()


def _edit(file: Path, line: str = "EDITED = True\n") -> None:
    with file.open("a", encoding="utf-8") as opened:
        opened.write(line)
