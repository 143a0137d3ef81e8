"""Damaged pools: what is read afterwards is right, or refused in one line; mostly it is computed again."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refdiff.errors import RefdiffError
from refdiff.store.fingerprint import digest_bytes
from refdiff.store.photo_batches import FILE, PhotoBatches, read_tasks
from refdiff.store.pool import Pool
from refdiff.store.pool_shards import PoolShards
from tests.fuzzing import count_examples
from tests.store.hostile import RAW, bent
from tests.store.toy_photos import COLUMNS, check_items, fill, make_pool, make_tasks

EXAMPLES = count_examples()
FUZZED = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
BUCKET = "abc"
TASKS = make_tasks(range(3), bucket=BUCKET) + make_tasks([7])


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a pool of two shards: three photos of one bucket, and another."""
    root = tmp_path_factory.mktemp("pristine")
    fill(root, TASKS)
    return root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    return tmp_path / "copy"


def refresh(root: Path, pristine: Path) -> list[Path]:
    """Put everything back; the files of the pool's shards."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root)
    return sorted(path for path in (root / ".work").glob("pool/*/*/photos/*/*") if path.suffix)


def is_refused(action: Callable[[], object]) -> bool:
    """Whether it ends with one of the project's errors, in one line; any other comes through."""
    message = ""
    try:
        action()
    except RefdiffError as error:
        message = str(error)
    assert message.isprintable()
    return bool(message)


def read_again(root: Path) -> None:
    """A run of another split on the pool, every item of which is compared; then the pool has to be whole."""
    if not is_refused(lambda: fill(root, TASKS, "test")):
        shards = Pool.open_shards(make_pool(root).path, COLUMNS)
        check_items(PhotoBatches(TASKS, shards), TASKS)


def read_without_verifying(root: Path) -> None:
    """What a worker sees of a pool that is damaged behind its back: the items as they were, or none."""
    batches = PhotoBatches(TASKS, Pool.open_shards(make_pool(root).path, COLUMNS))
    for task in TASKS:
        is_refused(partial(check_items, batches, [task]))


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Other bytes: some of them changed, fewer, more, or none of them."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content) - 1))
        changed[place] ^= draw(st.integers(1, 255))
    cut = content[: draw(st.integers(0, len(content) - 1))]
    return draw(st.sampled_from([bytes(changed), cut, content + b"\0", content * 2]) | RAW)


@FUZZED
@given(data=st.data())
def test_bytes_of_any_file(data: st.DataObject, pristine: Path, root: Path) -> None:
    file = data.draw(st.sampled_from(refresh(root, pristine)))
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    read_without_verifying(root)
    read_again(root)


@FUZZED
@given(data=st.data())
def test_markers_that_say_something_else_under_their_own_digest(
    data: st.DataObject, pristine: Path, root: Path
) -> None:
    """Not damage but a forgery: keys that are not where they were are computed again."""
    file = data.draw(st.sampled_from([path for path in refresh(root, pristine) if path.suffix == ".json"]))
    content = data.draw(bent(file.read_bytes()))
    file.unlink()
    (file.parent / f"{digest_bytes(content)}.json").write_bytes(content)
    read_again(root)


@FUZZED
@given(data=st.data())
def test_shards_that_are_something_else_under_their_own_digest(data: st.DataObject, pristine: Path, root: Path) -> None:
    """What is no Arrow file, or a broken one, with a marker that calls it whole."""
    file = data.draw(st.sampled_from([path for path in refresh(root, pristine) if path.suffix == ".arrow"]))
    content = data.draw(damaged(file.read_bytes()[:-1]))
    marker = next(path for path in file.parent.glob("*.json") if file.stem in path.read_text())
    said = marker.read_text().replace(file.stem, digest_bytes(content)).encode()
    for old in (file, marker):
        old.unlink()
    (file.parent / f"{digest_bytes(content)}.arrow").write_bytes(content)
    (file.parent / f"{digest_bytes(said)}.json").write_bytes(said)
    read_again(root)


@FUZZED
@given(data=st.data())
def test_marks_of_users_and_lists_of_photos(data: st.DataObject, pristine: Path, root: Path) -> None:
    refresh(root, pristine)
    pool = make_pool(root)
    mark = pool.path / "users/val.json"
    content = data.draw(bent(mark.read_bytes()))
    mark.write_bytes(content)
    make_pool(root, "another").finish("val")
    assert pool.path.exists() or b'"complete": true' in content
    tasks = next((root / "runs").glob(f"*/{FILE}"))
    tasks.write_bytes(data.draw(bent(tasks.read_bytes())))
    is_refused(lambda: read_tasks(tasks.parent))


@pytest.mark.parametrize("name", ["shards exchanged", "names exchanged", "another pool's"])
def test_files_in_other_places(name: str, pristine: Path, root: Path) -> None:
    """Whole files where they do not belong."""
    files = [path for path in refresh(root, pristine) if path.suffix == (".json" if "names" in name else ".arrow")]
    if name == "another pool's":
        shutil.copy(write_other(root), files[0])
    else:
        first, second = files[0].read_bytes(), files[1].read_bytes()
        files[0].write_bytes(second)
        files[1].write_bytes(first)
    read_without_verifying(root)
    read_again(root)


def write_other(root: Path) -> Path:
    """A shard of the same photos by other settings."""
    shards = PoolShards(root / "other", COLUMNS)
    shards.write(BUCKET, [{key: {"value": 99, "codes": []} for key in task.items} for task in TASKS[:3]])
    return next((root / "other" / BUCKET).glob("*.arrow"))
