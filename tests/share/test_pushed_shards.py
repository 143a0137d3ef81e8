"""What a change of ten photos in a thousand sends: the shards that hold them, and two files of metadata."""

from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from tests.store.toy_project import ToyProject, make_toy
from tests.store.toy_stage import PARAMS, STORE, make_store

pytestmark = pytest.mark.slow

THOUSAND = {"images": 1000, "sentences": 7, "shard": 250}
TEN = {image: 1 for image in range(420, 430)}
SIZES = 2


def publish(root: Path, **changes: Any) -> dict[str, bytes]:
    make_store(root, {**PARAMS, **THOUSAND, **changes})
    files = (path for path in (root / STORE).rglob("*") if path.is_file())
    return {path.relative_to(root / STORE).as_posix(): path.read_bytes() for path in files}


def push(project: ToyProject) -> int:
    """`dvc push`; how many files were sent."""
    with chdir(project.root), Repo() as repo:
        repo.add(str(STORE))  # pyright: ignore[reportArgumentType] DVC binds it to the repository
        return repo.push()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[ToyProject, dict[str, bytes]]:
    project = make_toy(tmp_path_factory.mktemp("thousand") / "project")
    for name in ("dvc.yaml", ".gitignore"):
        (project.root / name).unlink()
    config = project.root / ".dvc/config"
    text = config.read_text().replace("[core]\n", "[core]\n    remote = team\n")
    config.write_text(f"{text}['remote \"team\"']\n    url = {project.root.parent / 'remote'}\n")
    before = publish(project.root)
    assert push(project) == len(before) + 1  # and the list of them
    return project, before


def test_photos_edited_in_place_send_their_shards_only(first: tuple[ToyProject, dict[str, bytes]]):
    project, before = first
    after = publish(project.root, editions=TEN)
    changed = {name for name in after if after[name] != before.get(name)}
    # Photos 420 to 429 are expressions 2940 to 3009, which lie in shards 11 and 12 of 28.
    expected = {f"cross_{size}x{size}/c/{shard}/0/0/0/0" for size in (4, 8) for shard in (11, 12)}
    assert changed == expected | {"zarr.json"}
    assert push(project) == len(expected) + 2  # the group's metadata, and DVC's list of the files


def test_photos_added_at_the_end_send_only_the_last_shard(first: tuple[ToyProject, dict[str, bytes]], tmp_path: Path):
    """Shards have fixed borders, so what is added at the end moves nothing."""
    _, before = first
    appended = publish(tmp_path, images=1010)
    changed = {name for name in appended if "cross" in name and "/c/" in name and appended[name] != before.get(name)}
    assert changed == {f"cross_{size}x{size}/c/28/0/0/0/0" for size in (4, 8)}
