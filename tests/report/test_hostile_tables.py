"""Tables from strangers: whatever their cells say, what reads them refuses in one line or works with what is there."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from refdiff.dataset.tables import read_dataset
from refdiff.errors import RefdiffError
from refdiff.evaluation.evaluate import evaluate
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.evaluation.table import make_table, read_results
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.predictions import read_predictions
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import measure_overlap, read_overlap
from refdiff.params import parse_section, read_params
from refdiff.proposals.tables import read_proposals
from refdiff.report.gather import gather_report, read_rows
from refdiff.report.page import render_page
from refdiff.report.settings import RenderReportSettings
from tests.fusion.rows import make_method
from tests.fuzzing import count_examples
from tests.heat.test_heat_map import PAPER
from tests.report.small_project import METHODS, REPORT, make_project
from tests.store.hostile import try_bent

EXAMPLES = count_examples()
RULE = EvaluateMasksSettings(
    unit="expression", comparison=">=", precision_at=(0.5, 0.6, 0.7, 0.8, 0.9), histogram_bins=4
)
TABLES = (
    *(f"dataset/{name}" for name in ("images", "expressions", "targets")),
    *("text", "proposals/regions", "proposals/weak", "overlap/regions", "overlap/weak"),
    *(f"{name}/predictions" for name in METHODS),
)
STORES = ("attention/paper", "clip/regions", "pooled/regions", "pooled/weak")
RECORDS = (
    "artifacts/val/dataset/dataset.json",
    *(f"artifacts/val/{name}.zarr/zarr.json" for name in STORES),
    "artifacts/val/pooled/regions.zarr/letterbox_8x8/zarr.json",
    "artifacts/val/attention/paper.zarr/cross_8x8/zarr.json",
    *(f"reports/val/both/{name}.json" for name in ("metrics", "details", "curves")),
)
NUMBERS = st.sampled_from([-2, -1, 0, 1, 3, 10**6, 2**31 - 1, 2**62])
REALS = st.sampled_from([float("nan"), float("inf"), -1.0, 0.0, 0.5, 1e30])
WORDS = st.sampled_from(["", "\x1b[2J", "../../x", "/etc/passwd", "\x00", "a" * 3000, "0", "none", "<script>"])
CODES = st.sampled_from([b"", b"\xff\xff", b"P0", b"0" * 9, b"PPPPPPPP0", b"52203"])


@pytest.fixture(scope="module")
def bent_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("hostile"))


def draw_cell(draw: st.DrawFn, kind: pa.DataType) -> Any:
    """A value of a column's type, or none."""
    if draw(st.integers(0, 7)) == 0:
        return None
    if pa.types.is_list(kind):
        return [draw_cell(draw, kind.value_type) for _ in range(draw(st.integers(0, 2)))]
    if pa.types.is_boolean(kind):
        return draw(st.booleans())
    kinds = ((pa.types.is_integer, NUMBERS), (pa.types.is_floating, REALS), (pa.types.is_binary, CODES))
    return draw(next((values for fits, values in kinds if fits(kind)), WORDS))


@st.composite
def bent(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    """The table with some cells replaced, rows missing, doubled or in another order, or a column missing."""
    rows = table.num_rows
    how = draw(st.sampled_from(["cells", "cells", "cells", "cells", "rows", "column"]))
    if how == "column":
        return table.drop_columns([draw(st.sampled_from(table.column_names))])
    if how == "rows":
        places = draw(st.lists(st.integers(0, max(0, rows - 1)), max_size=rows + 2 if rows else 0))
        return table.take(pa.array(places, pa.int64()))
    place = draw(st.integers(0, table.num_columns - 1))
    field, cells = table.schema.field(place), table.column(place).to_pylist()
    for row in draw(st.sets(st.integers(0, max(0, rows - 1)), min_size=1)) if rows else ():
        cells[row] = draw_cell(draw, field.type)
    try:
        return table.set_column(place, field.name, pa.array(cells, field.type))
    except (pa.ArrowException, OverflowError):
        assume(False)  # a number that the column cannot hold
        raise


def unwatched(steps: Iterable[Any], total: int) -> Iterable[Any]:
    return steps


def overlap(layout: SplitLayout) -> None:
    for source in ("regions", "weak"):
        with suppress(RefdiffError):
            list(measure_overlap(read_dataset(layout.dataset), read_proposals(layout.proposals(source))))


def fuse(layout: SplitLayout) -> None:
    fusing = FuseScoresSettings(pool_masks=True)
    for row in METHODS.values():
        method = make_method(row)
        readout = PAPER if method.uses_heat else None
        with suppress(RefdiffError):
            fuse_split(open_inputs(layout, method, readout, fusing), method, readout, unwatched)


def judge(layout: SplitLayout) -> None:
    for name, row in METHODS.items():
        method = make_method(row)
        with suppress(RefdiffError):
            evaluate(
                read_predictions(layout.predictions(name)),
                read_dataset(layout.dataset),
                read_proposals(layout.proposals(method.proposals)),
                read_overlap(layout.overlap(method.proposals)),
                method=method,
                settings=RULE,
            )


def report(layout: SplitLayout) -> None:
    rows = read_rows(read_params(layout.root / "params.yaml"))
    results = read_results(rows.splits, rows.methods, layout.root)
    page = parse_section(RenderReportSettings, REPORT, "render_report")
    render_page(gather_report(layout.root, rows, results, page, parameters="", progress=lambda steps, _: steps))
    for methods in results.values():
        make_table("val", methods)


READERS = {
    "dataset": (overlap, fuse, judge, report),
    "text": (fuse,),
    "proposals": (overlap, fuse, judge, report),
    "overlap": (judge,),
    **dict.fromkeys(METHODS, (judge, report)),
}


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), name=st.sampled_from(TABLES))
def test_tables_of_any_content(data: st.DataObject, name: str, bent_project: Path):
    file = bent_project / f"artifacts/val/{name}.parquet"
    whole = file.read_bytes()
    table = pq.read_table(file)
    try:
        pq.write_table(data.draw(bent(table)).replace_schema_metadata(table.schema.metadata), file)
        data.draw(st.sampled_from(READERS[name.partition("/")[0]]))(SplitLayout("val", bent_project))
    except RefdiffError as error:
        message = str(error)
    else:
        message = ""
    finally:
        file.write_bytes(whole)
    assert message.isprintable()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data(), name=st.sampled_from(RECORDS))
def test_records_of_any_content(data: st.DataObject, name: str, bent_project: Path):
    """JSON beside the tables: records of the dataset, metadata of stores, metrics."""
    file = bent_project / name
    read = report if name.startswith("reports") or "dataset" in name else fuse
    try_bent(data, file, lambda _: read(SplitLayout("val", bent_project)), file)


def test_the_tables_as_they_are_are_read(bent_project: Path):
    """Or the property above would hold of nothing."""
    layout = SplitLayout("val", bent_project)
    names = read_dataset(layout.dataset).expressions.expression_id
    assert read_predictions(layout.predictions("both")).expression_id == names
    report(layout)
