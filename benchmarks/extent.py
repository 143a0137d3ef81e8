"""How much of a synthetic split is made."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is made; the defaults are RefCOCO val (unc) with 60 proposals a photo and ten maps of 32 x 32.

    Attributes:
        images: Photos.
        objects: Referred objects; none is without.
        sentences: Expressions.
        proposals: Masks of a photo.
        side: Cells of a map along each side.
        layers: Cross-attention layers, each at two steps.
        dim: Length of a CLIP embedding.
        seed: Of everything.
        shard_expressions: As `extract_attention.store`; so are the next three.
        chunk_expressions: Expressions in an inner chunk.
        chunk_tokens: Tokens in an inner chunk.
        compression_level: Of zstd, None for none.
    """

    images: int = 1500
    objects: int = 3811
    sentences: int = 10834
    proposals: int = 60
    side: int = 32
    layers: int = 5
    dim: int = 512
    seed: int = 0
    shard_expressions: int = 64
    chunk_expressions: int = 1
    chunk_tokens: int = 1
    compression_level: int | None = None


MINIATURE = Extent(images=6, objects=9, sentences=20, proposals=5, side=8, layers=2, dim=8, shard_expressions=8)
