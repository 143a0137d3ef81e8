"""Parameters of a method: one row of params.yaml's `methods`, and the stage's own section."""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from refdiff.errors import ParameterError
from refdiff.parameter_words import expected_names
from refdiff.params import Section

Weight = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Ramp = Literal["none", "paper", "released"]


class TextMix(Section):
    """Weights of the two text embeddings that a view is compared with.

    Attributes:
        expression: Weight of the whole expression.
        head: Weight of the head word, encoded alone.
    """

    expression: Weight
    head: Weight


class Selection(Section):
    """How one of the proposals is chosen.

    Attributes:
        rule: `argmax` of the score (the paper's). The others are for proposals cut from a heat map, where that argmax
            runs to the highest threshold: `fixed` keeps the highest threshold that is not above the stated one, `otsu`
            the highest not above Otsu's of the heat, and both take the argmax of what is left; `area` multiplies the
            generative score by (a (1 - a)) ** area_power with a the mask's share of the photo, which at 0.5 is Otsu's
            between-class criterion, and works on any proposals.
        threshold: The threshold of `fixed`, else null.
        area_power: The power of `area`, else null.
    """

    rule: Literal["argmax", "fixed", "otsu", "area"]
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    area_power: Annotated[float, Field(gt=0.0, le=10.0)] | None

    @model_validator(mode="after")
    def _check_partners(self) -> Self:
        for name, rule in (("threshold", "fixed"), ("area_power", "area")):
            given = getattr(self, name) is not None
            if given != (self.rule == rule):
                wanted = "a number" if self.rule == rule else "null"
                raise ValueError(f"{name} must be {wanted} where rule is {self.rule}")
        return self

    def describe(self) -> str:
        """The rule in words, for reports."""
        if self.rule == "fixed":
            return f"highest heat threshold not above {self.threshold:g}, argmax of the score among its masks"
        if self.rule == "otsu":
            return "highest heat threshold not above Otsu's, argmax of the score among its masks"
        if self.rule == "area":
            return f"argmax of the score with contrast times (a (1 - a)) ** {self.area_power:g}, a the area share"
        return "argmax of the score"


class MethodSettings(Section):
    """One row of params.yaml's `methods`: score = generative_weight G + discriminative_weight D.

    Attributes:
        proposals: Name of a source or of a heat source.
        readout: The readout whose heat scores the proposals; null where generative_weight is 0.
        generative_weight: Weight of the contrast of the heat (paper: alpha).
        discriminative_weight: Weight of the CLIP score (paper: 1 - alpha).
        beta: Share of the global view in the CLIP score; the local view has 1 - beta.
        text_local: What the local view is compared with.
        text_global: What the global view is compared with.
        head_rule: The head word's rule for the text mixes.
        local_ramp: Position ramp on the photo before the local crops.
        global_ramp: Position ramp on the photo of the global view.
        keep_largest: Only this many of the largest proposals of a photo (of an expression, for a heat source) are
            candidates; null keeps all.
        min_area_px: Candidates have more pixels than this; 0 drops the empty ones.
        select: How one is chosen.
    """

    proposals: Annotated[str, Field(min_length=1)]
    readout: Annotated[str, Field(min_length=1)] | None
    generative_weight: Weight
    discriminative_weight: Weight
    beta: Annotated[float, Field(ge=0.0, le=1.0)]
    text_local: TextMix
    text_global: TextMix
    head_rule: Literal["root", "root_or_subject"]
    local_ramp: Ramp
    global_ramp: Ramp
    keep_largest: Annotated[int, Field(ge=1)] | None
    min_area_px: Annotated[int, Field(ge=0)]
    select: Selection

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.generative_weight == 0.0 and self.discriminative_weight == 0.0:
            raise ValueError("both weights are 0; give at least one score a weight")
        if self.uses_heat and self.readout is None:
            raise ValueError("readout is null, but generative_weight or the selection rule needs heat; name a readout")
        if self.select.rule == "area" and self.generative_weight == 0.0:
            raise ValueError("rule area weighs the generative score, whose weight is 0; use another rule")
        return self

    @property
    def uses_heat(self) -> bool:
        return self.generative_weight > 0.0 or self.select.rule == "otsu"

    @property
    def uses_clip(self) -> bool:
        return self.discriminative_weight > 0.0


class FuseScoresSettings(Section):
    """params.yaml's `fuse_scores`.

    Attributes:
        pool_masks: Score by what pool_masks made: a readout that is linear on masks pooled to the attention grid, any
            other by its sums of heat; false scores every mask at the photo's size (slow, equal within 1e-5 for the
            former, bit for bit for the latter).
    """

    pool_masks: bool


def check_source(name: str, method: MethodSettings, sources: Collection[str], heat_sources: Collection[str]) -> None:
    """Refuse a method whose source does not exist, or has no CLIP embeddings where the method needs them.

    Args:
        name: The method's name.
        method: Its row.
        sources: Names of params.yaml's `sources`.
        heat_sources: Names of its `heat_sources`.

    Raises:
        ParameterError: As above.
    """
    if method.proposals not in {*sources, *heat_sources}:
        expected = expected_names(method.proposals, [*sources, *heat_sources])
        raise ParameterError(f"methods.{name}.proposals: no source {method.proposals!r}; {expected}; correct the name")
    if method.uses_clip and method.proposals in heat_sources:
        raise ParameterError(
            f"methods.{name}: {method.proposals!r} is a heat source, whose masks have no CLIP embeddings; "
            "expected discriminative_weight 0 or a name of sources"
        )
