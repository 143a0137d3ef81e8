"""How many hostile inputs the readers are shown: few by default, thousands where REFDIFF_FUZZ_EXAMPLES says so."""

import os

# Every module whose tests show readers what strangers may send.
MODULES = (
    *(f"tests/dataset/test_{name}.py" for name in ("damaged_files", "segmentation", "unpickle")),
    "tests/proposals/test_hostile_input.py",
    "tests/report/test_hostile_tables.py",
    *(f"tests/store/test_hostile{name}.py" for name in ("", "_pool", "_pooled")),
    "tests/store/test_zarr_chunks.py",
    "tests/test_photo.py",
)


def count_examples(by_default: int = 50) -> int:
    """Examples of a property."""
    return int(os.environ.get("REFDIFF_FUZZ_EXAMPLES", by_default))
