"""Kill, damage and resume in a loop; see `tests/soak/__main__.py`."""
