"""The conventions behind a set of figures, in words, so that figures of different code are not compared unawares."""

from refdiff.evaluation.settings import EvaluateMasksSettings

_UNITS = {
    "expression": "every sentence counts once",
    "object": "every referred object counts once; its sentences share its weight equally",
}


def describe_conventions(settings: EvaluateMasksSettings) -> dict[str, str]:
    """What each figure of metrics.json means, by name.

    Source: for no-target sentences, henghuiding/ReLA, gres_model/evaluation/refer_evaluation.py (gRefCOCO's authors).
    """
    return {
        "unit": f"{settings.unit}: {_UNITS[settings.unit]}",
        "frame": "pixels of the photo at its own size",
        "oIoU": "sum of intersections over sum of unions (also called cIoU)",
        "mIoU": "mean of intersection over union (also called gIoU)",
        "Pr@X": f"share of the sentences with a target whose IoU is {settings.comparison} X; no-target sentences are "
        "left out (as gRefCOCO's authors count)",
        "N-acc": "share of no-target sentences with an empty prediction; null where there are none",
        "T-acc": "share of sentences with a target whose prediction is not empty; null where every sentence has one",
        "no_candidate": "a sentence without a candidate mask is an empty prediction and counts, with intersection 0",
        "no_target": "empty truth: IoU 1 in mIoU with an empty prediction, which adds nothing to oIoU's sums; IoU 0 "
        "with any other, whose pixels count in oIoU's union (as gRefCOCO's authors count cIoU and gIoU)",
        "no_truth": "sentences without a true mask are not counted; n_without_truth says how many",
        "chance": "exact expectation of a candidate drawn at random, after the method's filters",
        "oracle": "candidate of the highest IoU, after the method's filters; its oIoU is not an upper bound",
        "ties": "the first of equally good candidates",
    }
