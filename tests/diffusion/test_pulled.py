"""An edit on a store that was pulled: what still fits comes out of DVC's cache, whatever the type of its links."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import chdir
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from refdiff.diffusion import job
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.engine.settings import Engine, EngineSettings, Part
from refdiff.layout import SplitLayout
from refdiff.store import earlier_output
from refdiff.store.earlier_output import take_over_output
from refdiff.store.opened import open_store
from refdiff.store.work import WorkFolder
from tests.diffusion.test_extraction import content
from tests.diffusion.test_reuse import SHARDS, extract, write
from tests.store.toy_project import flip_byte
from tests.unprivileged import run_bound

STORE = SplitLayout("tiny").attention("paper")
FILE = "cross_8x8/c/0/0/0/0/0"
EDITED = (0, 9, 2)  # seeds of the photos; the second is in shards 1 and 2 of 4
TAKEN = "missing shards taken from the store that was published before"
PARTS = EngineSettings(kind="serial", workers=1, address=None, accelerators=(), attempts=1)
STAGE = {"cmd": "python -m stages.extract_attention tiny paper", "outs": [STORE.as_posix()]}


@pytest.fixture(autouse=True)
def one_model(extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is the session's; a worker loads everything else again."""
    monkeypatch.setattr(job, "AttentionExtractor", lambda *_: extractor)


def call_dvc(root: Path, call: Callable[[Any], Any]) -> Any:
    with chdir(root), Repo() as repo:
        return call(repo)


def commit(root: Path) -> None:
    """What DVC does when a stage has ended: cache its output, and write its lock file."""
    call_dvc(root, lambda repo: repo.commit("extract_attention", force=True))


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def listing_of(root: Path) -> Path:
    """The object of DVC's cache that lists those of the published store."""
    name = yaml.safe_load((root / "dvc.lock").read_text())["stages"]["extract_attention"]["outs"][0]["md5"]
    return root / ".dvc/cache/files/md5" / name[:2] / name[2:]


def cached(root: Path, file: str = FILE) -> Path:
    """The object of DVC's cache for a file as it was published."""
    entries = {each["relpath"]: each["md5"] for each in json.loads(listing_of(root).read_text())}
    return root / ".dvc/cache/files/md5" / entries[file][:2] / entries[file][2:]


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory, extractor: AttentionExtractor) -> Path:
    """The project of the one who made the store, committed and pushed."""
    root = tmp_path_factory.mktemp("pulled") / "maker"
    layout = write(root)
    (root / ".dvc").mkdir()
    remote = f"remote = team\n['remote \"team\"']\n    url = {root.parent / 'remote'}\n"
    (root / ".dvc/config").write_text(f"[core]\n    analytics = false\n    {remote}")
    (root / ".gitignore").write_text(".work\n/artifacts/tiny/attention\n/.dvc/cache\n/.dvc/tmp\n")
    (root / ".dvcignore").write_text(".work\n")
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"extract_attention": STAGE}}))
    git(root, "init", "-q")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "AttentionExtractor", lambda *_: extractor)
        assert extract(layout).computed == SHARDS
    publish(root)
    return root


def publish(root: Path) -> None:
    commit(root)
    call_dvc(root, lambda repo: repo.push())
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "the store")


Clone = Callable[..., SplitLayout]


@pytest.fixture(scope="module")
def clones(maker: Path) -> Callable[[str], Path]:
    """A colleague's clone for each type of link, with the store pulled."""

    @cache
    def make(link: str) -> Path:
        root = maker.parent / link
        git(maker, "clone", "-q", str(maker), str(root))
        with (root / ".dvc/config").open("a") as config:
            config.write(f"[cache]\n    type = {link}\n")
        call_dvc(root, lambda repo: repo.pull())
        assert content(root / STORE) == content(maker / STORE)
        shutil.rmtree(root / STORE)
        return root

    return make


@pytest.fixture
def clone(clones: Callable[[str], Path], tmp_path: Path) -> Clone:
    """Copies of such clones, in which DVC is about to run the stage: the output is removed."""
    return lambda link="copy": SplitLayout("tiny", Path(shutil.copytree(clones(link), tmp_path / "colleague")))


@pytest.fixture(scope="module")
def edited(maker: Path, extractor: AttentionExtractor) -> dict[str, bytes]:
    """The store that a run from nothing makes of the edited photos."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job, "AttentionExtractor", lambda *_: extractor)
        return content(extract(write(maker.parent / "edited", seeds=EDITED)).path)


def cache_of(root: Path) -> dict[str, bytes]:
    return content(root / ".dvc/cache")


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_only_what_was_edited_is_computed(
    maker: Path, clone: Clone, link: str, edited: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    layout = clone(link)
    write(layout.root, seeds=EDITED)
    before, object_ = cache_of(layout.root), cached(layout.root)
    made = extract(layout)
    assert made.computed == 2
    assert f"2 of {SHARDS} {TAKEN}, out of DVC's cache\n" in capsys.readouterr().err
    assert content(made.path) == edited
    # Only where the colleague's own files are the cached objects is the work folder's.
    assert (made.path / FILE).samefile(object_) == (link != "copy")
    assert bool((made.path / FILE).stat().st_mode & 0o200) == (link == "copy")

    commit(layout.root)
    assert content(made.path) == edited
    now = cache_of(layout.root)
    assert {name: now[name] for name in before} == before
    assert call_dvc(layout.root, lambda repo: repo.status()) == {}
    shutil.rmtree(made.path)
    assert extract(layout).computed == 0, "and the work folder serves as always"


def test_the_same_stage_run_by_force_computes_nothing(maker: Path, clone: Clone) -> None:
    layout = clone()
    made = extract(layout)
    assert made.computed == 0
    assert content(made.path) == content(maker / STORE)


def test_parts_take_their_own_shards(maker: Path, clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    layout = clone()
    write(layout.root, seeds=EDITED)
    assert [extract(layout, Engine(PARTS, Part(index, 4))).computed for index in (1, 2, 3, 4)] == [0, 1, 1, 0]
    assert capsys.readouterr().err.count(f"1 of 1 {TAKEN}") == 2
    assert extract(layout).computed == 0


def test_other_parameters_take_nothing(maker: Path, clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    layout = clone()
    assert extract(layout, seed=1).computed == SHARDS
    assert TAKEN not in capsys.readouterr().err


@pytest.mark.parametrize("link", ["copy", "hardlink"])
def test_a_damaged_object_is_not_taken_and_does_not_come_back(
    maker: Path, clone: Clone, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """DVC would take the damaged object for what the run is about to store, and link it into the store."""
    layout = clone(link)
    flip_byte(cached(layout.root))
    made = extract(layout)
    assert made.computed == 1
    said = capsys.readouterr().err
    assert f"{cached(layout.root)}: was damaged, and is removed from DVC's cache" in said
    assert f"3 of {SHARDS} {TAKEN}, out of DVC's cache; 1 that fit are damaged or not there" in said
    commit(layout.root)
    assert content(made.path) == content(maker / STORE)
    assert (
        hashlib.md5(cached(layout.root).read_bytes(), usedforsecurity=False)
        .hexdigest()
        .endswith(cached(layout.root).name)
    )


def test_an_object_that_is_a_link_is_taken_as_a_file(maker: Path, clone: Clone) -> None:
    """A cache that somebody spread over two disks: a second name of the link itself would point nowhere."""
    layout = clone("hardlink")
    object_ = cached(layout.root)
    moved = object_.rename(object_.with_name("moved"))
    object_.symlink_to(moved.name)
    made = extract(layout)
    assert made.computed == 0
    assert not (made.path / FILE).is_symlink()
    assert content(made.path) == content(maker / STORE)


def test_what_was_not_fetched_is_computed(maker: Path, clone: Clone) -> None:
    layout = clone()
    cached(layout.root).unlink()
    assert extract(layout).computed == 1


LACKS: dict[str, Callable[[Path], Any]] = {
    "a DVC repository": lambda root: shutil.rmtree(root / ".dvc"),
    "a lock file": lambda root: (root / "dvc.lock").unlink(),
    "an entry of the lock file": lambda root: (root / "dvc.lock").write_text("schema: '2.0'\n"),
    "a cache": lambda root: shutil.rmtree(root / ".dvc/cache"),
    "the store's metadata": lambda root: cached(root, "zarr.json").unlink(),
    "the store's metadata whole": lambda root: flip_byte(cached(root, "zarr.json"), 0),
}


def test_without_any_of_it_nothing_is_taken_and_nothing_said(
    maker: Path, clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = {shard.index: str(shard.inputs) for shard in open_store(str(maker / STORE)).manifest.shards}
    (made,) = maker.glob(".work/extract_attention/*")

    def take(layout: SplitLayout) -> int:
        work = WorkFolder.of(Path(shutil.copytree(made, layout.root / "work")))
        return len(take_over_output(work, layout.attention("paper"), wanted))

    layout = clone()
    assert take(layout) == SHARDS
    shutil.rmtree(layout.root)
    capsys.readouterr()
    for lacking, remove in LACKS.items():
        layout = clone()
        remove(layout.root)
        assert take(layout) == 0, lacking
        assert (lacking, capsys.readouterr().err.count(TAKEN)) == (lacking, 0)
        shutil.rmtree(layout.root)


def list_again(root: Path, entries: Any) -> None:
    """Let the lock file name another list of objects, as a stranger's could."""
    old, content = listing_of(root), json.dumps(entries).encode()
    name = hashlib.md5(content, usedforsecurity=False).hexdigest()
    lock = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(lock.replace(f"{old.parent.name}{old.name}", f"{name}.dir"))
    listing_of(root).parent.mkdir(exist_ok=True)
    listing_of(root).write_bytes(content)


def test_a_list_that_is_damaged_is_made_again(maker: Path, clone: Clone, capsys: pytest.CaptureFixture[str]) -> None:
    layout = clone()
    listing, whole = listing_of(layout.root), listing_of(layout.root).read_bytes()
    flip_byte(listing, 0)
    made = extract(layout)
    assert made.computed == SHARDS
    assert f"{listing}: was damaged, and is removed from DVC's cache" in capsys.readouterr().err
    commit(layout.root)
    assert listing.read_bytes() == whole
    assert content(made.path) == content(maker / STORE)


LISTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a file that is no object": lambda entry: {**entry, "md5": "../../../../victim"},
    "no digest": lambda entry: {"relpath": entry["relpath"]},
    "a digest that is a number": lambda entry: {**entry, "md5": 5},
    "no name": lambda entry: {"md5": entry["md5"]},
    "no mapping": lambda _entry: "entry",
}


@pytest.mark.parametrize("named", LISTED)
def test_a_list_that_names_what_cannot_be_is_left(maker: Path, clone: Clone, named: str) -> None:
    """What is damaged is removed from the cache, and nothing outside it."""
    layout = clone()
    victim = layout.root / "victim"
    victim.write_bytes(b"another's")
    entries = json.loads(listing_of(layout.root).read_text())
    list_again(layout.root, [LISTED[named](each) if each["relpath"] == FILE else each for each in entries])
    made = extract(layout)
    assert made.computed == SHARDS
    assert victim.read_bytes() == b"another's"
    assert content(made.path) == content(maker / STORE)


def drop_inputs(shard: dict[str, Any]) -> None:
    del shard["inputs"]


def name_a_file_of_all(shard: dict[str, Any]) -> None:
    shard["files"]["tokens/c/0"] = shard["files"][FILE]


def forget_a_file(shard: dict[str, Any]) -> None:
    del shard["files"][FILE]


@pytest.mark.parametrize("change", [drop_inputs, name_a_file_of_all, forget_a_file])
def test_a_record_that_does_not_say_what_is_needed_is_left(
    maker: Path, clone: Clone, change: Callable[[dict[str, Any]], None]
) -> None:
    """As older versions wrote it, and as a stranger may: the other three shards are taken."""
    layout = clone()
    call_dvc(layout.root, lambda repo: repo.checkout())
    metadata = layout.attention("paper") / "zarr.json"
    group = json.loads(metadata.read_bytes())
    (first,) = (each for each in group["attributes"]["refdiff"]["shards"] if each["index"] == 0)
    change(first)
    metadata.write_text(json.dumps(group))
    commit(layout.root)
    shutil.rmtree(metadata.parent)
    made = extract(layout)
    assert made.computed == 1
    assert content(made.path) == content(maker / STORE)


def test_dvc_is_not_asked_when_nothing_is_missing(maker: Path, clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = clone()
    extract(layout)
    monkeypatch.setattr(earlier_output, "find_output", lambda _target: pytest.fail("importing DVC takes a second"))
    assert extract(layout).computed == 0


TAKE = """
import sys
from pathlib import Path
from refdiff.command import run_command
from refdiff.store.earlier_output import take_over_output
from refdiff.store.work import WorkFolder
work = WorkFolder.of(Path(sys.argv[1]))
run_command(lambda: take_over_output(work, Path(sys.argv[2]), {0: sys.argv[3]}))
"""


def test_an_object_that_cannot_be_read_is_named_and_stays(maker: Path, clone: Clone) -> None:
    layout = clone()
    extract(layout)
    (work,) = layout.root.glob(".work/extract_attention/*")
    marker = work / "done/000000.json"
    inputs = json.loads(marker.read_text())["inputs"]
    marker.unlink()
    cached(layout.root).chmod(0)
    done = run_bound(layout.root, "-c", TAKE, str(work), str(STORE), inputs)
    assert done.returncode == 2
    assert f"{cached(layout.root)}: cannot be read (Permission denied)" in done.stderr
    assert cached(layout.root).is_file()
    assert not marker.exists()
