"""Parameters of the stage embed_clip (no torch here: the reading side imports this too)."""

from typing import Annotated, Literal

from pydantic import Field

from refdiff.params import Device, Section

Ramp = Literal["none", "paper", "released"]
Channel = Annotated[int, Field(ge=0, le=255)]


class ClipSettings(Section):
    """Section `embed_clip` of params.yaml.

    Attributes:
        model: open_clip model name, `hf-hub:owner/name`, or `local-dir:folder` (configuration and weights).
        pretrained: open_clip's tag or a weights file; null for `local-dir:` and `hf-hub:`, which carry their own.
        device: `cpu`, `cuda`, `cuda:1` ..., or `auto` (cuda where there is one).
        dtype: Precision of the network; stored embeddings are float32 in any case.
        local_ramps: Position ramps of the local view to embed; a method row can use these only.
        global_ramps: The same for the global view.
        interpolation: Resampling of crops and of the whole photo.
        crop_background_rgb: Colour outside the mask in the local view, before normalisation.
        crop_max_aspect: Longest side of a resized crop, in units of the model's image size; thinner crops are made
            smaller as a whole.
        global_fit: How the photo meets whole patches: `crop` leaves out what is beyond the last whole patch at the
            right and below (released code); `resize` stretches it to the nearest multiple.
        global_max_side: Longest side of the photo in the global view, in units of the model's image size; larger
            photos are made smaller.
        batch_tokens: Patch tokens of one forward pass over crops (bounds memory).
        class_tokens: Class tokens that attend to the patches at a time in the global view (bounds memory).
        text_batch: Texts in one forward pass.
        rows_per_file: Embeddings in one file of the store, which is written and read as a whole.
    """

    model: str = Field(min_length=1)
    pretrained: str | None = Field(min_length=1)
    device: Device
    dtype: Literal["float32", "float16", "bfloat16"]
    local_ramps: tuple[Ramp, ...] = Field(min_length=1)
    global_ramps: tuple[Ramp, ...] = Field(min_length=1)
    interpolation: Literal["bilinear", "bicubic"]
    crop_background_rgb: tuple[Channel, Channel, Channel]
    crop_max_aspect: float = Field(ge=1.0, le=1000.0)
    global_fit: Literal["crop", "resize"]
    global_max_side: float = Field(ge=1.0, le=1000.0)
    batch_tokens: int = Field(ge=1)
    class_tokens: int = Field(ge=1)
    text_batch: int = Field(ge=1)
    rows_per_file: int = Field(ge=1)
