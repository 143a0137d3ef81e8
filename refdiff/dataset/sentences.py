"""Sentences that can be used: any Unicode text that has something to read in it."""

import unicodedata

from refdiff.dataset.fields import is_unicode, show

# Spaces, controls and formats (zero-width characters, joiners) show nothing by themselves.
_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})


def check_sentence(text: object) -> str:
    """What is wrong with a sentence; empty when nothing is."""
    if not isinstance(text, str):
        several = ", one in a record (lines with the same ref_id share their mask)" if isinstance(text, list) else ""
        return f"sentence is {show(text)}; expected text{several}"
    if not is_unicode(text):
        return f"sentence {show(text)} has half a surrogate pair; expected Unicode text"
    if all(unicodedata.category(c) in _INVISIBLE for c in text):
        return f"sentence is {show(text)}, empty or blank; expected words"
    return ""
