"""REFER folders as people have them: `refs(<split_by>).p` and `instances.json`.

RefCOCO, RefCOCO+, RefCOCOg (umd, google) and RefCLEF (unc, berkeley). The photo's name is taken from `instances.json`:
the refs' own `file_name` carries an annotation suffix and names no file.

Source: lichengunc/refer, refer.py, getMask: a ref's annotation counts whether it is a crowd or not.
"""

from collections.abc import Mapping
from typing import Any

from refdiff.dataset.faults import FaultLog
from refdiff.dataset.fields import read_id
from refdiff.dataset.records import DatasetRecords
from refdiff.dataset.refs import RefsForm, read_refs
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow


def read_refer(row: SplitRow, settings: PrepareDatasetSettings, faults: FaultLog) -> DatasetRecords:
    """Read one split of a REFER folder; a ref means one annotated object.

    Raises:
        DatasetError: A file cannot be read as a whole, or the split is unknown.
        HostilePickleError: The pickle holds more than plain content.
    """
    return read_refs(
        row, settings, RefsForm("refs", _single_annotation, may_be_empty=False, counts_crowds=True), faults
    )


def _single_annotation(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    return (read_id(record, "ann_id", where),)
