"""What has to be said beside the figures of a split, in words."""

from collections.abc import Mapping
from typing import Any

from refdiff.dataset.benchmarks import BENCHMARKS, find_benchmark
from refdiff.parameter_words import did_you_mean


def remark_split(methods: Mapping[str, Mapping[str, Any]], benchmark: str | None) -> list[str]:
    """Remarks on the figures of a split; empty where there is nothing to say.

    Args:
        methods: Metrics and details of each method.
        benchmark: The published benchmark that the split is, as params.yaml names it; None for none.
    """
    counts = sorted({each["n_evaluated"] for each in methods.values()})
    remarks = [] if any(counts) else ["no sentence has a true mask, so nothing is measured"]
    remarks += [text for count in counts if (text := coverage(count, benchmark))]
    for name, each in methods.items():
        if each["n_expressions"] and each["n_no_candidate"] == each["n_expressions"]:
            remarks.append(
                f"{name}: there was no candidate mask for any sentence, so every prediction is empty; see the masks "
                "that propose_masks and the method's filters leave"
            )
    return remarks


def coverage(sentences: int, benchmark: str | None) -> str:
    """That figures are of another number of sentences than a benchmark has; "" where they are of as many.

    Args:
        sentences: Those that count.
        benchmark: Its name; None for none.
    """
    known = find_benchmark(benchmark) if benchmark else None
    if benchmark and known is None and (near := did_you_mean(benchmark, [each.name for each in BENCHMARKS])):
        return f"no benchmark {benchmark!r} is known, and nothing is compared{near}"
    if known is None or known.sentences is None or sentences in (0, known.sentences):
        return ""
    return (
        f"{sentences:,} sentences count, {known.name} has {known.sentences:,}: not comparable with figures published "
        f"for {known.name}"
    )
