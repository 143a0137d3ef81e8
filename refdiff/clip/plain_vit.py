"""Which image towers can be used: plain ViTs, told from a configuration or from a loaded network by the same rule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from refdiff.errors import ModelError

EXPECTED = (
    "expected a plain ViT (patches by conv1, a class token, pool 'tok', default blocks); "
    "choose such a model, for example ViT-B-16-quickgelu"
)


@dataclass(frozen=True, slots=True)
class TowerKind:
    """What decides whether an image tower can be used.

    Attributes:
        kind: Name of its class; `VisionTransformer` is a ViT.
        attention_pool: Whether it pools by attention.
        pool_type: How it pools else; `tok` is by the class token.
        other_blocks: Types of blocks that are not the default.
        layers: Number of blocks.
        patch_px: Height and width of a patch.
    """

    kind: str
    attention_pool: bool
    pool_type: str
    other_blocks: tuple[str, ...]
    layers: int
    patch_px: tuple[int, int]

    def check(self, where: str) -> None:
        """See that it is a plain ViT.

        Raises:
            ModelError: It is not; the message says what it is.
        """
        reasons = {
            f"its image tower is {self.kind}": self.kind != "VisionTransformer",
            "its image tower pools by attention": self.attention_pool,
            f"its image tower pools by {self.pool_type!r}": self.pool_type != "tok",
            f"its image tower has blocks of type {', '.join(self.other_blocks)}": bool(self.other_blocks),
            "its image tower has no blocks": self.layers < 1,
            f"its patches are {self.patch_px}, not square": self.patch_px[0] != self.patch_px[1],
        }
        for reason, holds in reasons.items():
            if holds:
                raise ModelError(f"{where}: {reason}; {EXPECTED}")


class _Config(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class VisionConfig(_Config):
    """The part of open_clip's `vision_cfg` that counts here, with open_clip's defaults."""

    image_size: int | list[int] = 224
    patch_size: int | list[int] | None = 16
    layers: int | list[int] = 12
    width: int = 768
    attentional_pool: bool | str = False
    pool_type: str = "tok"
    timm_model_name: str | None = None
    block_type: str | None = None
    qk_norm: bool = False
    scaled_cosine_attn: bool = False
    scale_heads: bool = False
    scale_attn_inner: bool = False
    scale_attn: bool = False
    scale_fc: bool = False

    def kind(self) -> TowerKind:
        """The tower that open_clip builds of it."""
        features = (self.qk_norm, self.scaled_cosine_attn, self.scale_heads)
        custom = self.block_type == "custom" or any((*features, self.scale_attn_inner, self.scale_attn, self.scale_fc))
        kind = "ModifiedResNet" if isinstance(self.layers, list) else "VisionTransformer"
        if self.timm_model_name:
            kind = f"TimmModel ({self.timm_model_name})"
        return TowerKind(
            kind,
            bool(self.attentional_pool),
            self.pool_type,
            ("CustomResidualAttentionBlock",) if custom else (),
            0 if isinstance(self.layers, list) else self.layers,
            sides(self.patch_size or 0),
        )


class TextConfig(_Config):
    """The same of `text_cfg`."""

    context_length: int = 77
    hf_tokenizer_name: str | None = None


class ModelConfig(_Config):
    """The same of a whole model."""

    embed_dim: int
    vision_cfg: VisionConfig
    text_cfg: TextConfig
    quick_gelu: bool = False


def parse_config(content: Mapping[str, Any], where: str) -> ModelConfig:
    """open_clip's configuration of a model.

    Raises:
        ModelError: It is none.
    """
    try:
        return ModelConfig.model_validate(dict(content))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in problem["loc"])
        raise ModelError(
            f"{where}: its configuration is none of an open_clip model ({place}: {problem['msg']}); expected "
            "embed_dim, vision_cfg and text_cfg; fetch the model again or choose another"
        ) from error


def sides(size: int | list[int]) -> tuple[int, int]:
    """Height and width of a size that is given once where both are equal."""
    return (size, size) if isinstance(size, int) else (size[0], size[-1])
