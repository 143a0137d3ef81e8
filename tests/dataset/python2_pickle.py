"""Pickles as Python 2 wrote them: its `str` is bytes, which today's pickle module cannot write."""

import struct
from collections.abc import Callable


def dump_python2(value: object, protocol: int, text: Callable[[str], bytes] = str.encode) -> bytes:
    """A pickle of lists, mappings, text and integers by Python 2.

    Args:
        value: The content.
        protocol: 0 (letters) or 2 (binary).
        text: How text became Python 2's bytes.
    """
    start = b"" if protocol == 0 else b"\x80\x02"
    return start + _dump(value, protocol, text) + b"."


def _dump(value: object, protocol: int, text: Callable[[str], bytes]) -> bytes:
    match value:
        case str():
            return _dump_bytes(text(value), protocol)
        case int():
            return b"I%d\n" % value if protocol == 0 else b"J" + struct.pack("<i", value)
        case list():
            items = [_dump(item, protocol, text) for item in value]
            if protocol == 0:
                return b"(l" + b"".join(item + b"a" for item in items)
            return b"](" + b"".join(items) + b"e"
        case dict():
            pairs = [_dump(k, protocol, text) + _dump(v, protocol, text) for k, v in value.items()]
            if protocol == 0:
                return b"(d" + b"".join(pair + b"s" for pair in pairs)
            return b"}(" + b"".join(pairs) + b"u"
    raise TypeError(type(value))


def _dump_bytes(value: bytes, protocol: int) -> bytes:
    if protocol == 0:
        return b"S" + repr(value)[1:].encode("ascii") + b"\n"
    if len(value) < 256:
        return b"U" + bytes([len(value)]) + value
    return b"T" + struct.pack("<i", len(value)) + value
