"""Published benchmarks and their sizes, to compare a split with: plain data.

Sources: the catalogue of TensorFlow Datasets (ref_coco) for photos and objects; sentences as papers state them, with
the sums that JierunChen/Ref-L4 counted; Liu et al. 2023 for gRefCOCO's photos. A number that is not known is None.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One split of a published benchmark.

    Attributes:
        name: As `splits.<name>.benchmark` says it, "RefCOCO val".
        dataset: Folder of its annotations, as REFER names it.
        split_by: As in `refs(<split_by>).p`.
        split: As in the annotations.
        images: Photos.
        objects: Referred objects (refs); None where the source counts otherwise.
        sentences: Expressions; None where not known.
    """

    name: str
    dataset: str
    split_by: str
    split: str
    images: int
    objects: int | None
    sentences: int | None


BENCHMARKS = (
    Benchmark("RefCOCO val", "refcoco", "unc", "val", 1500, 3811, 10834),
    Benchmark("RefCOCO testA", "refcoco", "unc", "testA", 750, 1975, 5657),
    Benchmark("RefCOCO testB", "refcoco", "unc", "testB", 750, 1810, 5095),
    Benchmark("RefCOCO+ val", "refcoco+", "unc", "val", 1500, 3805, 10758),
    Benchmark("RefCOCO+ testA", "refcoco+", "unc", "testA", 750, 1975, 5726),
    Benchmark("RefCOCO+ testB", "refcoco+", "unc", "testB", 750, 1798, 4889),
    Benchmark("RefCOCOg val(U)", "refcocog", "umd", "val", 1300, 2573, 4896),
    Benchmark("RefCOCOg test(U)", "refcocog", "umd", "test", 2600, 5023, 9602),
    Benchmark("RefCOCOg val(G)", "refcocog", "google", "val", 4650, 5000, 9536),
    Benchmark("gRefCOCO val", "grefcoco", "unc", "val", 1500, None, None),
    Benchmark("gRefCOCO testA", "grefcoco", "unc", "testA", 750, None, None),
    Benchmark("gRefCOCO testB", "grefcoco", "unc", "testB", 750, None, None),
)


def find_benchmark(name: str) -> Benchmark | None:
    """The benchmark of a name; None where it is not one of `BENCHMARKS`.

    Case, spaces and hyphens do not count; val(U) may be written val (umd), val(G) val (google), and `RefCOCOg val` is
    the umd split.
    """
    wanted = _plain(name)
    for benchmark in BENCHMARKS:
        spellings = (
            benchmark.name,
            benchmark.name.replace("(U)", ""),
            re.sub(r"\(.\)", f"({benchmark.split_by})", benchmark.name),
        )
        if wanted in map(_plain, spellings):
            return benchmark
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
