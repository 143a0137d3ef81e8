"""gRefCOCO: `grefs(<split_by>).json` and `instances.json`; a sentence means one object, several, or none.

Source: henghuiding/ReLA, gres_model/data/datasets/grefer.py and grefcoco.py: no target is `ann_id` [-1]; refs without
    sentences are passed over, as the authors advise; annotations with `iscrowd` are left out of the union.
Differs: a ref all of whose annotations are crowds is a fault; the authors' loader stops at one.
"""

from collections.abc import Mapping
from typing import Any

from refdiff.dataset.faults import FaultLog
from refdiff.dataset.fields import as_id, read_field, show
from refdiff.dataset.records import DatasetRecords
from refdiff.dataset.refs import RefsForm, read_refs
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.errors import DatasetError

NO_TARGET = "-1"


def read_grefcoco(row: SplitRow, settings: PrepareDatasetSettings, faults: FaultLog) -> DatasetRecords:
    """Read one split of gRefCOCO; the truth of a ref is the union of its annotations, empty for a no-target.

    Raises:
        DatasetError: A file cannot be read as a whole, or the split is unknown.
    """
    return read_refs(row, settings, RefsForm("grefs", _annotations, may_be_empty=True, counts_crowds=False), faults)


def _annotations(record: Mapping[str, Any], where: str) -> tuple[str, ...]:
    value = read_field(record, "ann_id", where)
    listed = value if isinstance(value, list | tuple) else [value]
    ids = list(dict.fromkeys(as_id(item, "ann_id", where) for item in listed))
    none = ids in ([], [NO_TARGET])
    flag = record.get("no_target", none)
    if (not none and NO_TARGET in ids) or flag not in (none, int(none)):
        raise DatasetError(
            f"{where}: ann_id is {show(value)} and no_target is {show(flag)}; expected annotation ids, or [-1] for no "
            "target; correct the ref"
        )
    return () if none else tuple(ids)
