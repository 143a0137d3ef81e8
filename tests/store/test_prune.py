"""`refdiff store prune`: what no row of params.yaml uses goes, and nothing that a run holds or could use."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from refdiff.clip import photo_pool
from refdiff.clip.settings import ClipSettings
from refdiff.diffusion import facts as attention
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.diffusion.shards import recipe_of
from refdiff.errors import ParameterError
from refdiff.model_identity import ModelIdentity
from refdiff.params import parse_section
from refdiff.proposals import job as proposals
from refdiff.proposals.regions import RegionsSource
from refdiff.proposals.settings import PHOTO_SOURCES, RegionsSettings
from refdiff.store.console import prune_and_print
from refdiff.store.hold import LOCK, SETUP_LOCK
from refdiff.store.photo_batches import write_tasks
from refdiff.store.pool import Pool
from refdiff.store.work import WorkFolder
from tests.store.toy_photos import COLUMNS
from tests.store.toy_project import SOURCE, stage_environment

Params = dict[str, Any]
MODEL = ModelIdentity("model", Path(), "sha256:0")


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The repository's own parameters, in a folder that the command is called from."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(SOURCE / "refdiff/presets/demo.yaml", "params.yaml")
    return yaml.safe_load(Path("params.yaml").read_text())


def save(params: Params) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def make_all(params: Params, split: str = "demo_val") -> dict[str, Path]:
    """A work folder and pool of each kind, named by the stages' own facts; what is in them does not matter."""
    capture = parse_section(CaptureSettings, params["captures"]["paper"], "captures.paper")
    section = parse_section(ExtractAttentionSettings, params["extract_attention"], "extract_attention")
    source = PHOTO_SOURCES.parse(params["sources"]["regions"], "sources.regions")
    assert isinstance(source, RegionsSettings)
    views = parse_section(ClipSettings, params["embed_clip"], "embed_clip")
    clip, more = photo_pool.gather_facts(views, MODEL), {"rows_per_file", *photo_pool.RAMPS}
    # As `refdiff.clip.job` says it of the store, with what is applied after the pool.
    whole = {**clip, "parameters": views.model_dump(mode="json", exclude=photo_pool.LEFT_OUT - more)}
    masks = proposals.gather_facts(source, RegionsSource(source))
    pools = {
        "masks": Pool(Path(), "propose_masks", "regions", masks, COLUMNS),
        "views": Pool(Path(), "embed_clip", "views", clip, COLUMNS),
    }
    works = {
        "attention": WorkFolder(
            Path(), "extract_attention", f"{split}-paper", attention.gather_facts(MODEL, capture, section)
        ),
        "masks": WorkFolder(Path(), "propose_masks", f"{split}-regions", masks),
        "views": WorkFolder(Path(), "embed_clip", f"{split}-regions", whole),
    }
    for name, work in works.items():
        with work.hold():
            (work.content / "file").write_bytes(bytes(1000))
            if name in pools:
                write_tasks(work.path, [], pools[name].path)
    pools["latents"] = recipe_of(MODEL, capture, section).pool(Path(), "extract_attention")
    for pool in pools.values():
        pool.begin(f"{split}-regions")
        (pool.path / "item").write_bytes(bytes(1000))
    return {name: work.path for name, work in works.items()} | {f"{name} pool": pools[name].path for name in pools}


def there(folders: dict[str, Path]) -> set[str]:
    """What of them was not pruned; only locks stay of a work folder that was."""
    left = {name: {path.name for path in folder.iterdir()} for name, folder in folders.items() if folder.is_dir()}
    assert all(names > {LOCK, SETUP_LOCK} or names <= {LOCK, SETUP_LOCK} for names in left.values() if LOCK in names)
    return {name for name, names in left.items() if names - {LOCK, SETUP_LOCK}}


def change(table: str, row: str | None, key: str, value: Any) -> Callable[[Params], None]:
    return lambda params: (params[table] if row is None else params[table][row]).update({key: value})


MASKS, VIEWS = {"masks", "masks pool"}, {"views", "views pool"}
EDITS: dict[str, tuple[Callable[[Params], None], set[str]]] = {
    "nothing": (lambda _: None, set()),
    "where and how fast": (change("extract_attention", None, "device", "cpu"), set()),
    "the ramps, which are applied after the pool": (change("embed_clip", None, "local_ramps", ["none"]), {"views"}),
    "the capture": (change("captures", "paper", "guidance", 2.0), {"attention"}),
    "the seed": (change("extract_attention", None, "seed", 1), {"attention"}),
    "the canvas": (change("captures", "paper", "canvas_px", 128), {"attention", "latents pool"}),
    "the draw": (change("captures", "paper", "sample_posterior", True), {"attention", "latents pool"}),
    "no latents": (change("extract_attention", None, "keep_latents", False), {"latents pool"}),
    "the source": (change("sources", "regions", "small_px", 101), MASKS),
    "the crops": (change("embed_clip", None, "crop_max_aspect", 2.0), VIEWS),
    "another capture's name": (
        lambda params: params["captures"].update(other=params["captures"].pop("paper")),
        {"attention"},
    ),
    "another split's name": (
        lambda params: params["splits"].update(other=params["splits"].pop("demo_val")),
        {"attention", "masks", "views"},
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_no_row_uses_goes(params: Params, edit: str, capsys: pytest.CaptureFixture[str]) -> None:
    alter, gone = EDITS[edit]
    folders = make_all(params)
    alter(params)
    save(params)
    prune_and_print(dry_run=True)
    dry = capsys.readouterr().out
    assert there(folders) == set(folders)
    prune_and_print(dry_run=False)
    said = capsys.readouterr().out
    assert there(folders) == set(folders) - gone
    assert said == dry.replace("would remove", "removed").replace("would be", "were")
    assert {line.split()[1] for line in said.splitlines()[:-1]} == {f"{folders[name]}:" for name in gone}
    prune_and_print(dry_run=False)
    assert capsys.readouterr().out == "0 B were freed\n"


def test_sizes_tell_what_other_names_still_have(params: Params, capsys: pytest.CaptureFixture[str]) -> None:
    folders = make_all(params)
    Path("published").hardlink_to(folders["attention"] / "content/file")
    change("captures", "paper", "guidance", 2.0)(params)
    save(params)
    prune_and_print(dry_run=False)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"removed {folders['attention']}: ")
    assert said[0].endswith(" B; 1.0 kB more have other names")
    assert Path("published").read_bytes() == bytes(1000)


HOLD = """
import sys
from pathlib import Path
from refdiff.store.work import WorkFolder
with WorkFolder.of(Path(sys.argv[1])).hold(shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["whole", "shared"])
def test_what_a_run_holds_stays_with_its_pool(params: Params, how: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of parameters that were changed since it began."""
    folders = make_all(params)
    change("sources", "regions", "small_px", 101)(params)
    save(params)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folders["masks"]), how],
        env=stage_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "held\n"
        prune_and_print(dry_run=False)
        said = capsys.readouterr().out.splitlines()
        assert said == [f"kept {folders[name]}: a run holds it" for name in ("masks", "masks pool")] + [
            "0 B were freed"
        ]
        run.communicate("")
    assert there(folders) == set(folders)
    prune_and_print(dry_run=False)
    assert there(folders) == set(folders) - MASKS


def test_what_cannot_be_judged_stays(params: Params) -> None:
    folders = make_all(params)
    (folders["attention"] / "facts.json").write_text("{")
    save({**params, "splits": {"other": params["splits"]["demo_val"]}})
    prune_and_print(dry_run=False)
    assert there(folders) == {"attention", "latents pool", "masks pool", "views pool"}


def test_a_parameter_that_is_refused_removes_nothing(params: Params) -> None:
    folders = make_all(params)
    params["splits"] = {"other": params["splits"]["demo_val"]}
    params["embed_clip"]["dtype"] = "float8"
    save(params)
    with pytest.raises(ParameterError, match=r"embed_clip\.dtype"):
        prune_and_print(dry_run=False)
    assert there(folders) == set(folders)


@pytest.mark.parametrize("table", ["splits", "sources", "captures"])
def test_a_table_that_is_none_removes_nothing(params: Params, table: str) -> None:
    folders = make_all(params)
    params[table] = list(params[table])
    save(params)
    with pytest.raises(ParameterError, match=rf"{table}: expected a row by each name, got list"):
        prune_and_print(dry_run=False)
    assert there(folders) == set(folders)


def test_files_that_a_run_removes_meanwhile_do_not_count(
    params: Params, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = make_all(params)
    partial = folders["attention"] / "content/file.partial"
    partial.touch()
    measured = Path.lstat

    def lose(path: Path) -> os.stat_result:
        if path == partial:
            partial.unlink(missing_ok=True)
        return measured(path)

    monkeypatch.setattr(Path, "lstat", lose)
    change("captures", "paper", "guidance", 2.0)(params)
    save(params)
    prune_and_print(dry_run=True)
    assert capsys.readouterr().out.startswith(f"would remove {folders['attention']}: ")
