"""The attention store: what is written is read, and what is damaged, incomplete or of other origin is refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff.attention.maps import CrossMaps, MapKey, SelfMaps
from refdiff.attention.store import AttentionStore
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreError, StoreMismatchError
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.work import WorkFolder

SIZES = ((4, 4), (2, 2))
CAPTURE = {"guidance": 1.0, "canvas_px": 64, "schedule": {"kind": "single", "timesteps": [2]}}
PROVENANCE = {"stage": "extract_attention", "capture": CAPTURE, "model": {"name": "m", "digest": "d"}}


def make_keys(steps: int = 2) -> dict[tuple[int, int], tuple[MapKey, ...]]:
    return {
        size: tuple(
            MapKey(step, order, f"layer{order}", *size) for step in range(steps) for order in (index, index + 2)
        )
        for index, size in enumerate(SIZES)
    }


def make_layout(
    tokens: list[int], shard: int = 3, chunk: int = 1, chunk_tokens: int = 2, level: int | None = None
) -> AttentionLayout:
    keys = make_keys()
    self_keys = {(2, 2): keys[2, 2][:1]}
    return AttentionLayout(np.array(tokens, np.int32), 2, keys, self_keys, shard, chunk, chunk_tokens, level)


def make_maps(layout: AttentionLayout, seed: int = 0) -> list[CrossMaps]:
    rng = np.random.default_rng(seed)
    return [
        CrossMaps(
            layout.cross_keys,
            {
                size: rng.normal(size=(count, len(group), *size)).astype(np.float16)
                for size, group in layout.cross_keys.items()
            },
        )
        for count in layout.tokens
    ]


def make_self(image: int) -> SelfMaps:
    keys = make_layout([1]).self_keys
    return SelfMaps(keys, {(2, 2): np.random.default_rng(image).random((1, 4, 4)).astype(np.float16)})


def write_store(root: Path, layout: AttentionLayout, maps: list[CrossMaps], order: list[int] | None = None) -> Path:
    """A published store whose image 0 has self-attention."""
    work = WorkFolder(root, "extract_attention", "test", {"tokens": layout.tokens.tolist()})
    target = root / "store.zarr"
    with work.hold():
        writer = AttentionWriter(work.content, layout, PROVENANCE)
        for shard in order or range(layout.shards):
            rows = layout.expressions_of(shard)
            own = {0: make_self(0)} if shard == 0 else {}
            work.record(shard, writer.write_shard(shard, [maps[row] for row in rows], own))
        records = list(work.finished().values())
        files = [*writer.metadata_files(), *(name for record in records for name in record.files)]
        work.publish(target, files, {"zarr.json": writer.final_metadata(records)})
    return target


@pytest.fixture(params=[None, 1], ids=["plain", "zstd"])
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, list[CrossMaps]]:
    layout = make_layout([3, 1, 4, 2, 5], level=request.param)
    maps = make_maps(layout)
    return write_store(tmp_path, layout, maps), maps


def shard_file(path: Path, shard: int) -> Path:
    """A shard's file, unlinked from the work folder's, so that damage to it stays here."""
    file = path / "cross_4x4" / "c" / str(shard) / "0/0/0/0"
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content)
    return file


def test_round_trip(stored: tuple[Path, list[CrossMaps]]):
    path, maps = stored
    store = AttentionStore.open(path, expressions=5, capture=CAPTURE)
    assert store.settings == CAPTURE
    assert store.keys == make_keys()
    assert store.tokens.tolist() == [3, 1, 4, 2, 5]
    assert store.provenance["model"] == {"name": "m", "digest": "d"}
    for index, expected in enumerate(maps):
        got = store.read(index)
        for size in SIZES:
            assert got.maps[size].dtype == np.float32
            np.testing.assert_array_equal(got.maps[size], expected.maps[size])


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=7),
    st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 9)),
    st.sampled_from([None, -5, 3]),
    st.randoms(),
)
def test_any_cut_reads_back(tmp_path_factory, tokens: list[int], cut: tuple[int, int, int], level: int | None, random):
    shard, chunk, chunk_tokens = cut
    layout = make_layout(tokens, shard * chunk, chunk, chunk_tokens, level)
    maps = make_maps(layout)
    order = list(range(layout.shards))
    random.shuffle(order)
    store = AttentionStore.open(write_store(tmp_path_factory.mktemp("any"), layout, maps, order))
    rows = [random.sample(range(1, count + 1), random.randint(1, count)) for count in tokens]
    for index, got in store.iterate(rows):
        wanted = [position - 1 for position in rows[index]]
        others = [row for row in range(tokens[index]) if row not in wanted]
        for size in SIZES:
            np.testing.assert_array_equal(got.maps[size][wanted], maps[index].maps[size][wanted])
            assert np.isnan(got.maps[size][others]).all()


def test_iterate_reads_everything_in_order(stored: tuple[Path, list[CrossMaps]]):
    path, maps = stored
    got = list(AttentionStore.open(path).iterate())
    assert [index for index, _ in got] == list(range(5))
    for (_, mine), expected in zip(got, maps, strict=True):
        np.testing.assert_array_equal(mine.maps[4, 4], expected.maps[4, 4])


def test_iterate_takes_all_tokens_where_none_are_named(stored: tuple[Path, list[CrossMaps]]):
    path, maps = stored
    got = dict(AttentionStore.open(path).iterate([[1], None, [2, 4], [1], [5]]))
    np.testing.assert_array_equal(got[1].maps[2, 2], maps[1].maps[2, 2])
    assert np.isnan(got[0].maps[2, 2][1:]).all()


def test_self_attention(stored: tuple[Path, list[CrossMaps]]):
    store = AttentionStore.open(stored[0])
    np.testing.assert_array_equal(store.read_self(0).maps[2, 2], make_self(0).maps[2, 2])
    with pytest.raises(StoreMismatchError, match="no self-attention of image 1"):
        store.read_self(1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1]], "expected rows of 5 expressions, got 1"),
        ([[1], [2], [1], [1], [1]], r"expression 1: .*1 to 1, got \[2\]"),
    ],
)
def test_rows_that_do_not_fit(stored: tuple[Path, list[CrossMaps]], rows: list, message: str):
    with pytest.raises(StoreMismatchError, match=message):
        next(AttentionStore.open(stored[0]).iterate(rows))


def test_an_expression_that_is_not_there(stored: tuple[Path, list[CrossMaps]]):
    with pytest.raises(StoreMismatchError, match="no expression 5; expected 0 to 4"):
        AttentionStore.open(stored[0]).read(5)


@pytest.mark.parametrize("where", [0.1, 0.5, 0.99])
def test_a_flipped_byte_is_found_and_the_shard_named(stored: tuple[Path, list[CrossMaps]], where: float):
    path, maps = stored
    file = shard_file(path, 1)
    content = bytearray(file.read_bytes())
    content[int(len(content) * where)] ^= 0x10
    file.write_bytes(content)
    store = AttentionStore.open(path)
    np.testing.assert_array_equal(store.read(0).maps[4, 4], maps[0].maps[4, 4])
    with pytest.raises(ShardCorruptError, match=r"store\.zarr/cross_4x4/c/1/0/0/0/0: shard is damaged"):
        list(store.iterate())


def test_a_missing_shard_is_not_read_as_zeros(stored: tuple[Path, list[CrossMaps]]):
    shard_file(stored[0], 1).unlink()
    with pytest.raises(ShardCorruptError, match=r"cross_4x4/c/1/0/0/0/0: shard 1: expected \d+ bytes, it is missing"):
        AttentionStore.open(stored[0])


def test_a_torn_shard_is_found_at_once(stored: tuple[Path, list[CrossMaps]]):
    file = shard_file(stored[0], 0)
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ShardCorruptError, match=r"shard 0: expected \d+ bytes, it has"):
        AttentionStore.open(stored[0])


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"expressions": 6}, "expected 6 expressions, which the dataset has, got 5"),
        ({"capture": {**CAPTURE, "guidance": 9.0}}, r"made with guidance 1\.0, expected 9\.0; run `dvc repro`"),
    ],
)
def test_a_store_of_other_parameters_is_refused_by_name(stored, expected: dict, message: str):
    with pytest.raises(StoreMismatchError, match=message):
        AttentionStore.open(stored[0], **expected)


@pytest.mark.parametrize("mode", [None, "square", 5])
def test_a_store_that_does_not_say_how_photos_lie_is_refused(stored: tuple[Path, list[CrossMaps]], mode: object):
    store = AttentionStore.open(stored[0])
    store.settings["canvas_mode"] = mode
    with pytest.raises(StoreMismatchError, match=rf"canvas_mode {mode!r}; expected one of letterbox, resize"):
        _ = store.canvas_mode


def test_a_store_in_the_making_is_refused(tmp_path: Path):
    layout = make_layout([1, 1])
    AttentionWriter(tmp_path / "store", layout, PROVENANCE)
    with pytest.raises(StoreError, match="is incomplete"):
        AttentionStore.open(tmp_path / "store")


def test_what_is_no_store_is_refused(tmp_path: Path):
    with pytest.raises(ArtifactMissingError, match="not there; run `dvc repro`"):
        AttentionStore.open(tmp_path / "none.zarr")
    (tmp_path / "other.zarr").mkdir()
    (tmp_path / "other.zarr" / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "group"}))
    with pytest.raises(StoreMismatchError, match="is no attention store"):
        AttentionStore.open(tmp_path / "other.zarr")
    (tmp_path / "other.zarr" / "zarr.json").write_text("{")
    with pytest.raises(StoreMismatchError, match="is not a Zarr group"):
        AttentionStore.open(tmp_path / "other.zarr")


def test_values_beyond_half_precision_are_refused(tmp_path: Path):
    layout = make_layout([1])
    writer = AttentionWriter(tmp_path / "store", layout, PROVENANCE)
    blocks = {size: np.full((1, 4, *size), 1e5, np.float32) for size in SIZES}
    with pytest.raises(StoreError, match="expression 0: an attention value does not fit half precision"):
        writer.write_shard(0, [CrossMaps(layout.cross_keys, blocks)], {})


def test_a_store_opened_again_is_written_with_the_same_bytes(stored: tuple[Path, list[CrossMaps]], tmp_path: Path):
    path, maps = stored
    layout = make_layout([3, 1, 4, 2, 5], level=1 if "zstd" in (path / "cross_4x4/zarr.json").read_text() else None)
    AttentionWriter(tmp_path / "twice", layout, PROVENANCE)
    writer = AttentionWriter(tmp_path / "twice", layout, PROVENANCE)
    for name in writer.write_shard(1, maps[3:], {}):
        assert (tmp_path / "twice" / name).read_bytes() == (path / name).read_bytes()


def test_one_file_for_each_shard_and_size(stored: tuple[Path, list[CrossMaps]]):
    files = [file for file in stored[0].rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert len(files) == 2 * 2 + 1 + 1  # two shards of two sizes, one image's self-attention, tokens


def test_padding_over_tokens_takes_no_room(tmp_path: Path):
    layout = make_layout([1, 1, 40], chunk_tokens=1)
    path = write_store(tmp_path, layout, make_maps(layout))
    chunks, of_a_chunk = 1 + 1 + 40, 4 * 4 * 4 * 2 + 4
    assert (path / "cross_4x4/c/0/0/0/0/0").stat().st_size == chunks * of_a_chunk + 3 * 40 * 16 + 4


def test_maps_of_zeros_are_stored_and_a_missing_shard_of_them_is_found(tmp_path: Path):
    layout = make_layout([2, 1])
    zeros = [
        CrossMaps(layout.cross_keys, {size: np.zeros_like(block) for size, block in each.maps.items()})
        for each in make_maps(layout)
    ]
    path = write_store(tmp_path, layout, zeros)
    assert not AttentionStore.open(path).read(0).maps[4, 4].any()
    shard_file(path, 0).unlink()
    with pytest.raises(ShardCorruptError, match="it is missing"):
        AttentionStore.open(path)


def test_reading_needs_no_torch():
    script = "import sys; import refdiff.attention.store; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
