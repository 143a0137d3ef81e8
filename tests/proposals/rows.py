"""Rows of params.yaml for tests, and a small split with real photos."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.layout import SplitLayout
from refdiff.masks.rle import encode_masks
from refdiff.params import parse_section
from refdiff.proposals.settings import (
    FilterSettings,
    RegionsSettings,
    SamSettings,
    ThresholdSettings,
)
from refdiff.store.fingerprint import digest_file

REGIONS: dict[str, Any] = {
    "kind": "regions",
    "working_px": 384,
    "smoothing_px": [1.0],
    "gradient_step": 1.0,
    "boundary_weight": 0.5,
    "texture_weight": 1.0,
    "small_px": 100,
    "min_contrast": 20.0,
    "min_persistence": 0.5,
    "max_area_share": 0.5,
    "max_border_share": 0.4,
    "ground_distance": 12.0,
    "area_power": 0.25,
    "fill_holes": False,
    "max_regions": 60,
}
SAM: dict[str, Any] = {
    "kind": "sam",
    "model": "nosuch/sam",
    "revision": None,
    "dtype": "float32",
    "points_per_side": 3,
    "points_per_batch": 4,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "stability_score_offset": 1.0,
    "mask_threshold": 0.0,
    "crops_n_layers": 0,
    "crop_overlap_ratio": 0.34,
    "crop_points_downscale": 1,
    "crops_nms_thresh": 1.0,
}
THRESHOLD: dict[str, Any] = {
    "kind": "threshold",
    "readout": "paper",
    "thresholds": [0.25, 0.5, 0.75],
    "parts": "whole",
    "min_part_px": 1,
}
READOUT: dict[str, Any] = {
    "capture": "paper",
    "token_rule": "root",
    "piece": "last",
    "layers": "all",
    "steps": "all",
    "normalize": "mean_then_minmax",
    "upsampling": "bilinear",
    "round_to_8_bit": False,
}
ENGINE: dict[str, Any] = {"kind": "serial", "workers": 1, "address": None, "accelerators": [], "attempts": 3}
FILTERS: dict[str, Any] = {"min_area_px": 1, "duplicate_iou": None, "max_proposals": None}

SIZES = ((48, 64), (64, 40), (30, 30))
TARGETS_OF = (2, 1, 1)  # the last is a no-target: its mask is empty


def regions(**changes: Any) -> RegionsSettings:
    return parse_section(RegionsSettings, {**REGIONS, **changes}, "regions")


def sam(**changes: Any) -> SamSettings:
    return parse_section(SamSettings, {**SAM, **changes}, "sam")


def threshold(**changes: Any) -> ThresholdSettings:
    return parse_section(ThresholdSettings, {**THRESHOLD, **changes}, "weak")


def filters(**changes: Any) -> FilterSettings:
    return parse_section(FilterSettings, {**FILTERS, **changes}, "filters")


def boxes(height: int, width: int, *corners: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """A mask for each (top, left, bottom, right)."""
    masks = np.zeros((len(corners), height, width), np.bool_)
    for mask, (top, left, bottom, right) in zip(masks, corners, strict=True):
        mask[top:bottom, left:right] = True
    return masks


def make_split(root: Path) -> tuple[SplitLayout, Dataset, list[NDArray[np.bool_]]]:
    """Three photos of one or two red boxes on grey, their boxes as true masks; the last photo is grey alone."""
    truths = [
        boxes(48, 64, (6, 8, 26, 30), (28, 36, 44, 58)),
        boxes(64, 40, (10, 6, 40, 32)),
        np.zeros((1, 30, 30), np.bool_),
    ]
    (root / "photos").mkdir(parents=True)
    for index, masks in enumerate(truths):
        rgb = np.full((*SIZES[index], 3), 120, np.uint8)
        rgb[masks.any(axis=0)] = (200, 40, 40)
        Image.fromarray(rgb).save(root / "photos" / f"{index}.png")
    image_of = [image for image, n in enumerate(TARGETS_OF) for _ in range(n)]
    names = [f"r{index}" for index in range(len(image_of))]
    codes = [code for masks in truths for code in encode_masks(masks)]
    areas = [int(mask.sum()) for masks in truths for mask in masks]
    dataset = Dataset(
        Images(
            ["7", "8", "9"],
            [f"photos/{index}.png" for index in range(3)],
            np.array([height for height, _ in SIZES], np.int32),
            np.array([width for _, width in SIZES], np.int32),
            [digest_file(root / f"photos/{index}.png") for index in range(3)],
        ),
        Expressions(
            names,
            names,
            np.array(image_of, np.int32),
            [str(7 + image) for image in image_of],
            ["the box"] * len(names),
            np.arange(len(names), dtype=np.int32),
        ),
        Targets(
            names,
            np.array(image_of, np.int32),
            codes,
            np.array(areas, np.int64),
            np.array([1, 1, 1, 0], np.int32),
        ),
        {"split": "toy", "provenance": {}},
    )
    layout = SplitLayout("toy", root)
    write_dataset(layout.dataset, dataset)
    return layout, dataset, truths
