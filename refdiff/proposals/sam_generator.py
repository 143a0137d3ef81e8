"""transformers' mask generation in bounded memory, and in half precision.

Differs from `MaskGenerationPipeline` of transformers 5, with the same masks and scores bit for bit in float32:
    - The network's output becomes float32 before masks are cut from it. There, the suppression of like masks gets boxes
      in float32 and scores in the network's own type, which torchvision refuses.
    - Points none of whose masks can pass `pred_iou_thresh` are left out first, and the masks of the others are enlarged
      to the photo's size a few points at a time. There, those of a whole batch of points are.
    - Masks stay run-length codes. There, all are drawn at once.
    - NaN and infinity are refused. There, they fail every comparison, so that nothing is found.
"""

from typing import Any, cast

import torch
from torchvision.ops.boxes import batched_nms
from transformers import MaskGenerationPipeline

# Of masks that are enlarged together, 4 bytes each: a batch of 64 points on a photo of 640 x 640 is enlarged at once.
PIXELS_AT_ONCE = 64 * 3 * 640 * 640


class BoundedMaskGeneration(MaskGenerationPipeline):
    """Called as transformers' pipeline is; gives `rle_mask` (uncompressed, as it does) and `scores`."""

    def _forward(  # pyright: ignore[reportIncompatibleMethodOverride] what SamSource gives, and no defaults
        self,
        model_inputs: dict[str, Any],
        pred_iou_thresh: float,
        stability_score_thresh: float,
        mask_threshold: float,
        stability_score_offset: float,
    ) -> dict[str, Any]:
        box = model_inputs.pop("input_boxes")[0]
        is_last = model_inputs.pop("is_last")
        crop_size = model_inputs.pop("original_sizes").tolist()
        input_size = model_inputs.pop("reshaped_input_sizes", None)
        full_size = model_inputs.pop("full_image_size").tolist()
        output, processor = self.model(**model_inputs), cast(Any, self.image_processor)
        logits, scores = output["pred_masks"][0].float(), output["iou_scores"][0].float()
        if not (logits.isfinite().all() and scores.isfinite().all()):
            raise FloatingPointError("NaN or infinity in masks or scores")
        if pred_iou_thresh > 0:
            possible = (scores > pred_iou_thresh).any(dim=1)
            logits, scores = logits[possible], scores[possible]
        # By points, since torch rounds otherwise for another number of masks a point.
        points = max(1, PIXELS_AT_ONCE // (logits.shape[1] * crop_size[0][0] * crop_size[0][1]))
        masks, kept, boxes = [], [scores.new_zeros(0)], [scores.new_zeros(0, 4)]
        for some_logits, some_scores in zip(logits.split(points), scores.split(points), strict=True):
            if len(some_scores) == 0:
                continue
            enlarged = processor.post_process_masks(
                some_logits[None],
                crop_size,
                mask_threshold=mask_threshold,
                reshaped_input_sizes=None if input_size is None else input_size.tolist(),
                binarize=False,
            )
            codes, passed, placed = processor.filter_masks(
                enlarged[0],
                some_scores,
                full_size,
                box,
                pred_iou_thresh,
                stability_score_thresh,
                mask_threshold,
                stability_score_offset,
            )
            masks += codes
            kept.append(passed)
            boxes.append(placed.float())
        return {"masks": masks, "is_last": is_last, "boxes": torch.cat(boxes), "iou_scores": torch.cat(kept)}

    def postprocess(  # pyright: ignore[reportIncompatibleMethodOverride] as above
        self, model_outputs: list[dict[str, Any]], crops_nms_thresh: float
    ) -> dict[str, Any]:
        """The masks that no better one suppresses, and their scores."""
        masks = [code for output in model_outputs for code in output["masks"]]
        boxes = torch.cat([output["boxes"] for output in model_outputs])
        scores = torch.cat([output["iou_scores"] for output in model_outputs])
        kept = batched_nms(boxes, scores, torch.zeros(len(boxes)), crops_nms_thresh)
        return {"rle_mask": [masks[row] for row in kept.tolist()], "scores": scores[kept]}
