import copyreg
import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff.dataset import unpickle
from refdiff.dataset.unpickle import as_text, load_plain, loads_plain
from refdiff.errors import DatasetError, HostilePickleError, RefdiffError
from tests.dataset.python2_pickle import dump_python2
from tests.fuzzing import count_examples

REFS = [
    {"ref_id": 1, "file_name": "a_1.jpg", "sentences": [{"sent": "the dog", "raw": "the dög", "sent_id": 7}]},
    {"ref_id": 1 << 40, "box": (1.5, -2.0), "sentences": [], "flag": True, "nothing": None, "tags": {"a", "b"}},
]

DAMAGED = [dump_python2([{"a": ["b", 1]}], protocol) for protocol in (0, 2)]

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=5)
        | st.tuples(inner, inner)
        | st.sets(st.integers() | st.text(), max_size=5)
    ),
    max_leaves=20,
)


class Runs:
    """Touches a file when it is unpickled."""

    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.sentinel}'",)


class TakesState:
    """Touches a file when its state is set."""

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["sentinel"]).touch()

    def __getstate__(self) -> dict[str, str]:
        return {"sentinel": str(SENTINEL[0])}


class MakesFile:
    """Touches a file when it is made."""

    def __new__(cls, sentinel: str) -> "MakesFile":
        Path(sentinel).touch()
        return super().__new__(cls)

    def __getnewargs__(self) -> tuple[str]:
        return (str(SENTINEL[0]),)


class MakesFileByName:
    """The same with an argument by name."""

    def __new__(cls, *, sentinel: str) -> "MakesFileByName":
        Path(sentinel).touch()
        return super().__new__(cls)

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, str]]:
        return (), {"sentinel": str(SENTINEL[0])}


SENTINEL = [Path()]
EXTENSIONS = ((("os", "system"), 77), (("posix", "system"), 70_000))


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _call_system(sentinel: Path) -> bytes:
    return _text(f"touch '{sentinel}'")


# Each makes a pickle that touches the file when pickle itself loads it.
HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "GLOBAL": lambda path: pickle.dumps([1, {"x": Runs(path)}], protocol=0),
    "GLOBAL of protocol 2": lambda path: pickle.dumps(Runs(path), protocol=2),
    "STACK_GLOBAL": lambda path: pickle.dumps({"refs": [Runs(path)]}, protocol=4),
    "BUILD": lambda _: pickle.dumps(TakesState(), protocol=2),
    "INST": lambda path: b"(" + _call_system(path) + b"ios\nsystem\n.",
    "OBJ": lambda path: b"(cos\nsystem\n" + _call_system(path) + b"o.",
    "NEWOBJ": lambda path: pickle.dumps(MakesFile(str(path)), protocol=2),
    "NEWOBJ_EX": lambda path: pickle.dumps(MakesFileByName(sentinel=str(path)), protocol=4),
    "EXT1": lambda path: b"\x80\x02\x82\x4d" + _call_system(path) + b"\x85R.",
    "EXT4": lambda path: b"\x80\x02\x84" + struct.pack("<i", 70_000) + _call_system(path) + b"\x85R.",
    "after plain refs": lambda path: (
        pickle.dumps(REFS, protocol=4)[:-1] + b"0" + pickle.dumps(Runs(path), protocol=4)[11:]
    ),
}


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Path]:
    """The file that hostile pickles touch; two functions have extension codes meanwhile."""
    SENTINEL[0] = tmp_path / "ran"
    for name, code in EXTENSIONS:
        copyreg.add_extension(*name, code)
    yield SENTINEL[0]
    for name, code in EXTENSIONS:
        copyreg.remove_extension(*name, code)


def without_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_tuples(item) for key, item in value.items()}
    return [without_tuples(item) for item in value] if isinstance(value, list | tuple) else value


def make_hostile(name: str, sentinel: Path) -> bytes:
    data = HOSTILE[name](sentinel)
    sentinel.unlink(missing_ok=True)  # making the object to be pickled may have touched it
    return data


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_pickle_is_refused_and_nothing_runs(name: str, sentinel: Path, tmp_path: Path) -> None:
    file = tmp_path / "refs(unc).p"
    file.write_bytes(make_hostile(name, sentinel))
    with pytest.raises(HostilePickleError, match=r"refs\(unc\)\.p: pickle holds more than data.*nothing in it was run"):
        load_plain(file)
    assert not sentinel.exists()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_the_hostile_pickles_of_these_tests_do_run_elsewhere(name: str, sentinel: Path) -> None:
    pickle.loads(make_hostile(name, sentinel))  # noqa: S301 - the control of the test above
    assert sentinel.exists()


@pytest.mark.parametrize("data", [b"Pmodel\n.", b"X\x01\x00\x00\x00aQ.", b"cos\nsystem\n.", b"\x80\x02\x82\x4d."])
def test_persistent_ids_and_mere_names_are_refused(data: bytes, sentinel: Path) -> None:
    pickle.loads(b"\x80\x02\x82\x4d.")  # noqa: S301 - pickle now keeps the extension and asks for no class
    with pytest.raises(HostilePickleError, match=r"persistent object by str|asks for '(os.system|extension 77)'"):
        loads_plain(data, "x.p")


def test_a_numpy_array_is_refused_by_name() -> None:
    with pytest.raises(HostilePickleError, match="_reconstruct"):
        loads_plain(pickle.dumps(np.arange(3), protocol=2), "x.p")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_content_is_read_in_every_protocol(protocol: int) -> None:
    refs = [{k: v for k, v in ref.items() if protocol > 3 or k != "tags"} for ref in REFS]
    assert loads_plain(pickle.dumps(refs, protocol=protocol), "x.p") == without_tuples(refs)


@settings(max_examples=count_examples(200), deadline=None)
@given(plain, st.sampled_from([4, 5]))
def test_any_plain_content_is_read(value: object, protocol: int) -> None:
    assert loads_plain(pickle.dumps(value, protocol=protocol), "x.p") == without_tuples(value)


@pytest.mark.parametrize("protocol", [0, 2])
def test_python_2_strings_are_text(protocol: int) -> None:
    content = loads_plain(dump_python2(["dög", "d" * 300, {"it's": 'a "dog"\n'}], protocol), "x.p")
    assert [as_text(item) for item in content[:2]] == ["dög", "d" * 300]
    assert {as_text(k): as_text(v) for k, v in content[2].items()} == {"it's": 'a "dog"\n'}


def test_latin_1_is_read_where_it_is_no_utf_8() -> None:
    content = loads_plain(dump_python2(["dög"], 2, lambda text: text.encode("latin-1")), "x.p")
    assert as_text(content[0]) == "dög"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EOFError"),
        (b"\xff\x00", "KeyError.255"),
        (pickle.dumps(REFS, protocol=4)[:-40], "IndexError"),
        (dump_python2(REFS[0]["sentences"], 2)[:-5], "requires a buffer of 4 bytes"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.", "EOFError"),
        (b"T" + struct.pack("<i", -5) + b"x.", "negative byte count"),
        (b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".", "KeyError.150"),
        (b"\x80\x05\x97.", "out-of-band data"),
        (b"]pxyz\n.", "invalid literal"),
        (b"0.", "IndexError"),
        (b"L" + b"9" * 5000 + b"L\n.", "Exceeds the limit"),
        (b"F" + b"x" * 5000 + b"\n.", "could not convert string to float.{,200};"),
        (b"\x80\x63N.", "unsupported pickle protocol"),
        (b"}](Ns.", "AttributeError|TypeError|IndexError"),
        (b"}N" + b"\x85" * 200_000 + b"Ns.", "unhashable"),
        (b"}" + b"(" * 200_000 + b"t" * 200_000 + b"Ns.", "unhashable"),
    ],
)
def test_a_broken_pickle_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DatasetError, match=rf"not a whole pickle \(.*{reason}") as caught:
        loads_plain(data, "x.p")
    assert not isinstance(caught.value, HostilePickleError)


@pytest.mark.parametrize("memoize", [b"r" + struct.pack("<I", 0xFFFFFFFF), b"p99999999999\n"])
def test_a_memo_index_takes_no_room(memoize: bytes) -> None:
    tracemalloc.start()
    try:
        assert loads_plain(b"]" + memoize + b".", "x.p") == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_lists_nested_deep_are_read() -> None:
    assert isinstance(loads_plain(b"]" * 200_000 + b"a" * 199_999 + b".", "x.p"), list)


def test_a_missing_pickle_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"refs\(unc\)\.p: cannot be read \(No such file"):
        load_plain(tmp_path / "refs(unc).p")
    with pytest.raises(DatasetError, match="expected a pickle file"):
        load_plain(tmp_path)


def test_a_pickle_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "refs(unc).p").open("wb") as file:
        file.truncate(unpickle.MAX_BYTES + 1)
    with pytest.raises(DatasetError, match=r"at most 134,217,728 bytes, got 134,217,729; write it as JSON"):
        load_plain(tmp_path / "refs(unc).p")


@settings(max_examples=count_examples(400), deadline=None)
@given(
    st.sampled_from([pickle.dumps(REFS, protocol=4), *DAMAGED]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_damaged_pickles_are_read_or_refused(data: bytes, changes: list[tuple[float, int]], keep: float) -> None:
    broken = bytearray(data)
    for where, value in changes:
        broken[int(where * len(broken))] = value
    try:
        loads_plain(bytes(broken[: int(len(broken) * max(keep, 0.3)) + 1]), "x.p")
    except RefdiffError as error:
        assert "x.p" in str(error)  # noqa: PT017 - which damage is harmless is not known beforehand


@settings(max_examples=count_examples(300), deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        loads_plain(data, "x.p")
    except RefdiffError as error:
        assert "x.p" in str(error)  # noqa: PT017 - which damage is harmless is not known beforehand
