"""repair: what is damaged goes, from every place that holds it, and `dvc repro` brings just that back."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from refdiff.errors import StoreError, StoreMismatchError
from refdiff.store.console import repair_and_print
from refdiff.store.dvc_cache import find_cached
from refdiff.store.hold import hold_folder
from refdiff.store.opened import open_store
from refdiff.store.verify import verify_store
from tests.store.toy_project import SHARD, ToyProject, flip_byte, make_toy

LINKS = ["copy", "hardlink", "symlink", "reflink"]


@pytest.fixture(scope="module", params=LINKS)
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ToyProject:
    """A project whose cache uses one type of link, run once."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "reflink":
        (root / "source").write_text("x")
        clone = ["cp", "--reflink=always", "source", "clone"]
        if subprocess.run(clone, cwd=root, stderr=subprocess.DEVNULL, check=False).returncode:
            pytest.skip("this file system has no reflinks")
    project = make_toy(root / "project", request.param)
    assert project.repro() == [5]
    assert project.is_clean()
    return project


def repair(project: ToyProject) -> None:
    repair_and_print(str(project.store))


def is_whole(project: ToyProject) -> bool:
    return verify_store(open_store(str(project.store))) == []


def test_a_damaged_shard_comes_back(toy: ToyProject):
    before = toy.content()
    toy.damage()
    assert not is_whole(toy)
    assert toy.repro() == []  # DVC compares times, and does not see it
    repair(toy)
    assert not (toy.store / SHARD).exists()
    ran = toy.repro()
    assert sum(ran) <= 1
    assert toy.content() == before
    assert toy.cached(before[SHARD]).read_bytes() == before[SHARD]
    assert is_whole(toy)
    assert toy.is_clean()


def test_a_store_without_its_work_folder_keeps_its_whole_shards(toy: ToyProject):
    """A colleague who pulled it: nothing but the store and the cache, and both damaged."""
    before = toy.content()
    shutil.rmtree(toy.root / ".work")
    toy.damage()
    cached = toy.cached(before[SHARD])
    if cached.read_bytes() == before[SHARD]:
        flip_byte(cached)
    repair(toy)
    assert toy.repro() == [1]
    assert toy.content() == before
    assert is_whole(toy)


LISTED: list[Any] = [
    "no mapping",
    {"relpath": SHARD},
    {"md5": 5, "relpath": SHARD},
    {"md5": "0" * 32},
    {"md5": "../../../../victim", "relpath": SHARD},
]


def test_a_strangers_list_of_objects_names_nothing_outside_the_cache(tmp_path: Path):
    """Lock file and list come with a clone; what is damaged is removed from DVC's cache, and nothing else."""
    project = make_toy(tmp_path / "project")
    project.repro()
    (project.root / "victim").write_bytes(b"another's")
    lock = yaml.safe_load((project.root / "dvc.lock").read_text())
    for entry in LISTED:
        content = json.dumps([entry]).encode()
        listing = project.cached(content).with_suffix(".dir")
        listing.parent.mkdir(exist_ok=True)
        listing.write_bytes(content)
        lock["stages"]["extract_attention"]["outs"][0]["md5"] = listing.parent.name + listing.name
        (project.root / "dvc.lock").write_text(yaml.safe_dump(lock))
        assert list(find_cached(project.store)) == [""], entry
    project.damage()
    repair(project)
    assert not (project.store / SHARD).exists()
    assert (project.root / "victim").read_bytes() == b"another's"


@pytest.mark.parametrize("name", ["zarr.json", "cross_8x8/zarr.json"])
def test_damaged_metadata_comes_back(toy: ToyProject, name: str):
    before = toy.content()
    toy.damage(name)
    repair(toy)
    assert sum(toy.repro()) == 0
    assert toy.content() == before
    assert is_whole(toy)


def test_a_lost_shard_comes_back(toy: ToyProject):
    before = toy.content()
    (toy.store / SHARD).unlink()
    repair(toy)
    assert sum(toy.repro()) == 0
    assert toy.content() == before


def test_a_work_folder_is_repaired(in_work: Path, capsys: pytest.CaptureFixture[str]):
    flip_byte(in_work / "content" / SHARD)
    (in_work / "content/half.partial").write_bytes(b"")
    (in_work / "done/000003.json").write_text("{")
    repair_and_print(str(in_work))
    assert "4 of its work folder" in capsys.readouterr().out
    assert verify_store(open_store(str(in_work))) == []
    assert [shard.index for shard in open_store(str(in_work)).manifest.shards] == [0, 2, 4]


def test_work_in_progress_is_left_alone(in_work: Path):
    flip_byte(in_work / "content" / SHARD)
    with hold_folder(in_work), pytest.raises(StoreError, match=r"process \d+ on .* works on it; wait for it to end"):
        repair_and_print(str(in_work))
    assert (in_work / "content" / SHARD).exists()


def test_a_strangers_folder_is_left_alone(tmp_path: Path):
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(StoreMismatchError, match="is no metadata of a store of refdiff"):
        repair_and_print(str(tmp_path))
    assert (tmp_path / "zarr.json").exists()


def test_nothing_is_removed_through_links(published: Path, tmp_path: Path):
    """A stranger's store whose folder is a link: what lies behind it is not the store's."""
    elsewhere = tmp_path / "elsewhere"
    (published / "cross_8x8").rename(elsewhere)
    (published / "cross_8x8").symlink_to(elsewhere)
    kept = sorted(elsewhere.rglob("*"))
    repair_and_print(str(published))
    assert sorted(elsewhere.rglob("*")) == kept
