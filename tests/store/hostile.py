"""Metadata of stores as a stranger might write it: whole, bent in one place, or not metadata at all."""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from refdiff.attention.store import AttentionStore
from refdiff.clip.store import ClipStore
from refdiff.errors import RefdiffError
from refdiff.store.describe import describe_summary, summarise_store
from refdiff.store.members import find_members
from refdiff.store.opened import open_store
from refdiff.store.verify import verify_store

NAMES = st.sampled_from(
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "",
        "a//b",
        "c:/x",
        "a\\b",
        "\x1b[2J",
        "x" * 9000,
        "cross_8x8/c/-1",
        "tokens",
    ]
)
NUMBERS = st.one_of(
    st.integers(), st.sampled_from([-1, 0, 2**31, 2**63, 10**400]), st.floats(), st.booleans(), st.none()
)
LEAVES = st.one_of(NUMBERS, NAMES, st.text(max_size=8), st.binary(max_size=4).map(lambda raw: raw.decode("latin-1")))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
RAW = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"", b"[" * 200_000, b'{"a":' * 50_000, b"null", b"1e999", b"\xff\xfe", b"{" + b" " * 1000]),
)


@st.composite
def bent(draw: st.DrawFn, content: bytes) -> bytes:
    """A JSON document with up to three places replaced, renamed or removed; or other bytes altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(RAW)
    document = copy.deepcopy(json.loads(content))
    for _ in range(draw(st.integers(1, 3))):
        _bend(draw, document)
    return json.dumps(document).encode()


def _bend(draw: st.DrawFn, document: Any) -> None:
    """Walk down to some place and change it."""
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        child = node[key]
        if isinstance(child, (dict, list)) and child and draw(st.integers(0, 5)):
            node = child
            continue
        action = draw(st.sampled_from(["replace", "remove", "rename"]))
        if action == "replace":
            node[key] = draw(VALUES)
        elif action == "remove":
            del node[key]
        elif isinstance(node, dict):
            node[draw(NAMES)] = node.pop(key)
        return


def try_bent(data: st.DataObject, file: Path, read: Callable[[Path], None], store: Path) -> None:
    """Bend one file, read, and put it back; anything but the project's own errors comes through."""
    whole = file.read_bytes()
    try:
        file.write_bytes(data.draw(bent(whole)))
        read(store)
    except RefdiffError as error:
        message = str(error)
    else:
        message = ""
    finally:
        file.write_bytes(whole)
    assert message.isprintable()  # one line, and nothing that moves a terminal's cursor


def inspect(path: Path) -> None:
    """All that `refdiff store verify` and `info` do with a store."""
    store = open_store(str(path))
    members = find_members(store)
    for fault in verify_store(store):
        members.describe(fault.name)
    describe_summary(summarise_store(store))


def read_attention(path: Path) -> None:
    """Every map of a store of attention."""
    store = AttentionStore.open(path)
    for _ in store.iterate():
        pass


def read_embeddings(path: Path) -> None:
    """Rows of a store of embeddings."""
    store = ClipStore.open(path)
    for image in range(3):
        for variant in ("left", "none"):
            with suppress(RefdiffError):
                store.local(image, variant)
            with suppress(RefdiffError):
                store.global_view(image, variant)
    for expression in range(4):
        store.sentence(expression)
        store.head(expression, "root_or_subject")
