"""Figures that papers report, to lay beside one's own where the split is the same.

Every figure was got with its own models, proposals and units; only those of the same split may stand side by side at
all. Values are per cent.

Source: arXiv 2308.16777 (Ref-Diff), and the papers and reruns named in each row (docs/method.md, "Published figures").
"""

from dataclasses import dataclass

from refdiff.dataset.benchmarks import find_benchmark

CONDITIONS = (
    "As published, per cent. Proposals are SAM's unless a row says otherwise; backbones, proposal settings and the "
    "unit (per sentence or per object) differ between papers, and released code often prints another mean than its "
    "paper names. Read differences of a few points with care."
)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One published method on one split.

    Attributes:
        method: As its authors name it.
        overall: oIoU, per cent; None where not reported.
        mean: mIoU, per cent; None where not reported.
        note: Conditions of this row; "" where there is nothing to add.
    """

    method: str
    overall: float | None
    mean: float | None
    note: str = ""


BENCHMARKS = (
    "RefCOCO val",
    "RefCOCO testA",
    "RefCOCO testB",
    "RefCOCO+ val",
    "RefCOCO+ testA",
    "RefCOCO+ testB",
    "RefCOCOg val(U)",
    "RefCOCOg test(U)",
)
"""Splits with published figures, as `splits.<name>.benchmark` may name them."""

_OVERALL = {
    "Global-Local CLIP": (24.55, 26.00, 21.03, 26.62, 29.99, 22.23, 28.92, 30.48),
    "TAS": (29.53, 30.26, 28.24, 33.21, 38.77, 28.01, 35.84, 36.16),
    "Ref-Diff+": (35.16, 37.44, 34.50, 35.56, 38.66, 31.40, 38.62, 37.50),
    "HybridGL": (41.81, 44.52, 38.50, 35.74, 41.43, 30.90, 42.47, 42.97),
    "RefAM": (46.91, 52.30, 43.88, 38.57, 42.66, 34.90, 45.53, 44.45),
}
_MEAN = {
    "Ref-Diff+": {"RefCOCO val": 37.21, "RefCOCO+ val": 37.29, "RefCOCOg val(U)": 44.02},
    "Ref-Diff (attention only)": {"RefCOCO val": 21.53, "RefCOCOg val(U)": 27.03},
    "Ref-Diff/GS (attention, SAM masks)": {"RefCOCO val": 29.82},
    "Ref-Diff/DS (CLIP, SAM masks)": {"RefCOCO val": 35.27},
    "SAM 3, text prompt alone": {"RefCOCO val": 61.0, "RefCOCO+ val": 48.5, "RefCOCOg val(U)": 62.5},
}
_NOTES = {
    "Global-Local CLIP": "FreeSOLO proposals",
    "Ref-Diff (attention only)": "ablation; masks cut from the attention, selection rule not stated",
    "Ref-Diff/GS (attention, SAM masks)": "ablation",
    "Ref-Diff/DS (CLIP, SAM masks)": "ablation",
    "SAM 3, text prompt alone": "trained on masks with phrases; a later rerun",
}


def find_published(benchmark: str) -> tuple[PublishedRow, ...]:
    """The published figures of a split, named as `find_benchmark` reads names; none where no figures are known."""
    known = find_benchmark(benchmark)
    if known is None or known.name not in BENCHMARKS:
        return ()
    place = BENCHMARKS.index(known.name)
    rows = (
        PublishedRow(
            method,
            _OVERALL[method][place] if method in _OVERALL else None,
            _MEAN.get(method, {}).get(known.name),
            _NOTES.get(method, ""),
        )
        for method in dict.fromkeys([*_MEAN, *_OVERALL])
    )
    kept = [row for row in rows if row.overall is not None or row.mean is not None]
    return tuple(sorted(kept, key=lambda row: row.overall or row.mean or 0.0))
