"""REFER's pickles, read so that nothing in them can run: plain containers, strings and numbers only.

The unpickler finds no class, no extension and no persistent object, so all that opcodes can do is to put plain values
together. It is the one in Python: the one in C makes room for any memo index that five bytes ask for.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from refdiff.errors import DatasetError, HostilePickleError, RefdiffError
from refdiff.file_kind import recognise

# More than twice any REFER file (some 50 MB); an empty container takes two hundred times its byte in the file.
MAX_BYTES = 1 << 27


def load_plain(path: Path) -> Any:
    """The content of a pickle of plain containers, strings and numbers.

    Strings of Python 2 come as bytes (`as_text` makes them text), and tuples as lists.

    Raises:
        DatasetError: The file is missing, truncated, no pickle, or too large.
        HostilePickleError: It asks for something else; nothing in it was run.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DatasetError(
                f"{path}: expected a pickle of at most {MAX_BYTES:,} bytes, got {size:,}; write it as JSON"
            )
        if not path.is_file():
            raise DatasetError(f"{path}: expected a pickle file, got something else; correct the path")
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); expected a pickle") from error
    return loads_plain(data, str(path))


def loads_plain(data: bytes, where: str) -> Any:
    """As `load_plain`, of the bytes of a pickle that messages call `where`."""
    found = recognise(data)
    if found is not None:
        raise DatasetError(f"{where}: is {found[0]}; expected a REFER pickle; {found[1] or 'correct the name'}")
    try:
        return _PlainUnpickler(data, where).load()
    except RefdiffError:
        raise
    except Exception as error:  # damaged pickles raise nearly every builtin kind
        raise DatasetError(
            f"{where}: is not a whole pickle ({error!r:.200}); expected a REFER file; fetch it again"
        ) from error


def as_text(value: object) -> object:
    """A string of Python 2 as text: UTF-8, or Latin-1 where it is no UTF-8; anything else as it is."""
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


_MAKE = pickle._Unpickler.dispatch


def _make_list(length: int) -> Callable[[pickle._Unpickler], None]:
    def make(unpickler: Any) -> None:
        unpickler.stack[-length:] = [unpickler.stack[-length:]]

    return make


class _PlainUnpickler(pickle._Unpickler):
    """An unpickler that knows no class, no extension and no persistent object.

    A tuple comes as a list, which is no key: hashing tuples nested a million deep overflows the C stack. A bytearray,
    of which no dataset has any, would be made as long as the file says.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        **{code: make for code, make in _MAKE.items() if code != pickle.BYTEARRAY8[0]},
        pickle.TUPLE[0]: _MAKE[pickle.LIST[0]],
        pickle.EMPTY_TUPLE[0]: _MAKE[pickle.EMPTY_LIST[0]],
        **{code[0]: _make_list(n) for n, code in enumerate((pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), 1)},
    }

    def __init__(self, data: bytes, where: str) -> None:
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="bytes")
        self._where = where

    def find_class(self, module: str, name: str) -> NoReturn:
        raise self._hostile(f"{module}.{name}")

    def get_extension(self, code: int) -> NoReturn:
        raise self._hostile(f"extension {code}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise self._hostile(f"a persistent object by {type(pid).__name__}")

    def _hostile(self, what: str) -> HostilePickleError:
        return HostilePickleError(
            f"{self._where}: pickle holds more than data: it asks for {what!r:.200}; expected plain containers, "
            "strings and numbers; nothing in it was run; take a published file from where it was published, and write "
            "one of your own with plain int and str (no NumPy, no pandas), or as JSON"
        )
