"""REFER's pickles, read so that nothing in them can run: plain containers, strings and numbers only.

Two walls. The bytes are scanned first, by pickletools' own table of opcodes, without running any: an opcode outside
the list below is refused by its name and place, and so are sizes that only serve to fill the memory. What passes goes
to an unpickler that finds no class and no persistent object.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, NoReturn

from refdiff.errors import DatasetError, HostilePickleError, RefdiffError
from refdiff.file_kind import recognise

# Far above any REFER file (some 50 MB and 10 million opcodes); what is larger only fills the memory.
MAX_BYTES = 1 << 30
MAX_OPCODES = 40_000_000
# Tuples nested a million deep, used as a key, overflow the C stack; lists and mappings cannot be keys.
MAX_TUPLES = 10_000

_HASHABLE = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "FROZENSET"}
_PLAIN = _HASHABLE | {
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *(
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
    ),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("EMPTY_TUPLE", "EMPTY_SET", "ADDITEMS"),
}
_OPCODES = {ord(op.code): (op.name, op.arg.n if op.arg else 0) for op in pickletools.opcodes}
_COUNTED = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def load_plain(path: Path) -> Any:
    """The content of a pickle of plain containers, strings and numbers.

    Strings of Python 2 come as bytes; `as_text` makes them text.

    Raises:
        DatasetError: The file is missing, truncated, no pickle, or too large.
        HostilePickleError: It asks for something else; nothing in it was run.
    """
    try:
        if path.stat().st_size > MAX_BYTES or not path.is_file():
            raise DatasetError(f"{path}: expected a pickle file of at most {MAX_BYTES:,} bytes, got something else")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); expected a pickle") from error
    return loads_plain(data, str(path))


def loads_plain(data: bytes, where: str) -> Any:
    """As `load_plain`, of the bytes of a pickle that messages call `where`."""
    found = recognise(data)
    if found is not None:
        raise DatasetError(f"{where}: is {found[0]}; expected a REFER pickle; {found[1] or 'correct the name'}")
    scan(data, where)
    try:
        return _PlainUnpickler(data, where).load()
    except RefdiffError:
        raise
    except Exception as error:  # damaged pickles raise nearly every builtin kind
        raise _broken(where, f"{type(error).__name__}: {error}") from error


def as_text(value: object) -> object:
    """A string of Python 2 as text: UTF-8, or Latin-1 where it is no UTF-8; anything else as it is."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def scan(data: bytes, where: str) -> None:
    """Walk over the opcodes of a pickle without running any.

    Raises:
        HostilePickleError: An opcode is not one of plain content.
        DatasetError: The pickle is broken or truncated.
    """
    place = opcodes = tuples = 0
    size = len(data)
    while place < size:
        if data[place] not in _OPCODES:
            raise _broken(where, f"no opcode at byte {place}")
        name, argument = _OPCODES[data[place]]
        if name not in _PLAIN:
            raise _hostile(where, f"byte {place} is the opcode {name}{_named_object(data, place, name)}")
        end = _argument_end(data, place + 1, argument, where)
        opcodes += 1
        if name in _HASHABLE:
            tuples += 1
        if name == "STOP":
            return
        if name in ("PUT", "LONG_BINPUT") and not _is_small(data[place + 1 : end], name, size):
            raise _broken(where, f"memo index beyond the file at byte {place}")
        if opcodes > MAX_OPCODES or tuples > MAX_TUPLES:
            raise DatasetError(
                f"{where}: pickle has more than {MAX_OPCODES:,} opcodes or {MAX_TUPLES:,} tuples; expected a REFER "
                "file; write it with lists, or as JSON"
            )
        place = end
    raise _broken(where, "it ends before its last opcode")


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that knows no class, no extension and no persistent object."""

    def __init__(self, data: bytes, where: str) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="bytes")
        self._where = where

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise _hostile(self._where, f"it asks for {module_name}.{global_name}")

    def persistent_load(self, pid: object, /) -> NoReturn:
        raise _hostile(self._where, f"it asks for a persistent object by {type(pid).__name__}")


def _argument_end(data: bytes, start: int, argument: int, where: str) -> int:
    """Where the argument of an opcode ends; `argument` is pickletools' length code."""
    if argument >= 0:
        end = start + argument
    elif argument == pickletools.UP_TO_NEWLINE:
        end = data.find(b"\n", start) + 1
    else:
        counter = start + _COUNTED[argument]
        signed = argument == pickletools.TAKEN_FROM_ARGUMENT4
        length = int.from_bytes(data[start:counter], "little", signed=signed)
        end = counter + length if length >= 0 else 0
    if not start <= end <= len(data):
        raise _broken(where, f"an argument at byte {start} reaches beyond the file")
    return end


def _is_small(argument: bytes, name: str, limit: int) -> bool:
    """Whether a memo index is below `limit`: the memo is allocated up to it."""
    if name == "LONG_BINPUT":
        return int.from_bytes(argument, "little") < limit
    text = argument.strip()
    return text.isdigit() and len(text) < 12 and int(text) < limit


def _named_object(data: bytes, place: int, name: str) -> str:
    """What a GLOBAL or INST opcode asks for, for the message."""
    if name not in ("GLOBAL", "INST"):
        return ""
    parts = data[place + 1 : place + 200].split(b"\n")[:2]
    return f" asks for {'.'.join(part.decode('ascii', 'replace') for part in parts)!r}"


def _hostile(where: str, what: str) -> HostilePickleError:
    return HostilePickleError(
        f"{where}: pickle holds more than data: {what}; expected plain containers, strings and numbers; nothing in it "
        "was run; take a published file from where it was published, and write one of your own with plain int and str "
        "(no NumPy, no pandas), or as JSON"
    )


def _broken(where: str, reason: str) -> DatasetError:
    return DatasetError(f"{where}: is not a whole pickle ({reason}); expected a REFER file; fetch it again")
