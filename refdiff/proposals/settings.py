"""Parameters of the proposal stages: rows of `sources` and `heat_sources`, and the section `propose_masks`."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, field_validator

from refdiff.errors import ParameterError
from refdiff.parameter_words import expected_names, in_form
from refdiff.params import Device, Section, find, parse_section
from refdiff.paths import PLAIN_PATH, PLAIN_PATH_WORDS

Share = Annotated[float, Field(ge=0, le=1)]


class FilterSettings(Section):
    """Which proposals of a photo are kept.

    Attributes:
        min_area_px: Smallest area that is kept, pixels of the photo.
        duplicate_iou: Of two masks with this IoU or more, the one with the higher confidence is kept, the first when
            they are equal; null keeps both.
        max_proposals: How many are kept at most, the largest; null keeps all.
    """

    min_area_px: Annotated[int, Field(ge=1)]
    duplicate_iou: Annotated[float, Field(gt=0, le=1)] | None
    max_proposals: Annotated[int, Field(ge=1)] | None


class ProposeMasksSettings(Section):
    """The section `propose_masks`.

    Attributes:
        device: Where a model runs: auto (an accelerator if there is one), cpu, cuda, cuda:1.
        workers: Processes of `propose_heat_masks`, over expressions; `propose_masks` has those of the engine.
        filters: For sources per photo.
    """

    device: Device
    workers: Annotated[int, Field(ge=1, le=256)]
    filters: FilterSettings


class SamSettings(Section):
    """A row of `sources` of kind `sam`: transformers' mask generation.

    Attributes:
        model: Id on the Hugging Face hub (in the local cache) or a folder.
        revision: Branch, tag or commit of a hub model; null for its main branch.
        dtype: Number type that the model runs in.
        points_per_side: Points of the grid along one side; their square is prompted.
        points_per_batch: Points run at once.
        pred_iou_thresh: Least quality that the model predicts for a mask.
        stability_score_thresh: Least IoU of the mask cut at mask_threshold plus and minus stability_score_offset.
        stability_score_offset: In logits.
        mask_threshold: Where logits are cut.
        crops_n_layers: Layers of crops that are run besides the whole photo; layer i has 4^i.
        crop_overlap_ratio: Overlap of crops as a share of the photo's side.
        crop_points_downscale: Points along a side are divided by this for each layer of crops.
        crops_nms_thresh: IoU of two masks' boxes from which on only the better one is kept.
    """

    kind: Literal["sam"]
    model: Annotated[str, Field(min_length=1)]
    revision: str | None
    dtype: Literal["float32", "float16", "bfloat16"]
    points_per_side: Annotated[int, Field(ge=1, le=256)]
    points_per_batch: Annotated[int, Field(ge=1)]
    pred_iou_thresh: Share
    stability_score_thresh: Share
    stability_score_offset: Annotated[float, Field(ge=0)]
    mask_threshold: float
    crops_n_layers: Annotated[int, Field(ge=0, le=4)]
    crop_overlap_ratio: Annotated[float, Field(ge=0, lt=1)]
    crop_points_downscale: Annotated[int, Field(ge=1)]
    crops_nms_thresh: Share


class RegionsSettings(Section):
    """A row of `sources` of kind `regions`: neighbouring regions of like colour and texture, merged step by step.

    Colour distances are in CIE Lab units: 2 is barely seen, 100 is black to white.

    Attributes:
        working_px: Longer side at which regions are grown; a larger photo is scaled down to it.
        smoothing_px: Widths of the Gaussians before the first regions are cut; each gives a hierarchy of its own.
        gradient_step: Colour change per pixel below which a place counts as flat.
        boundary_weight: Share of the contrast along the common border in the distance of two regions; the rest is the
            distance of their mean colours and textures.
        texture_weight: Weight of the texture (mean colour change per pixel) beside the colour.
        small_px: Regions below this area are merged before larger ones of the same distance.
        min_contrast: Least distance to its nearest neighbour at which a region is a proposal.
        min_persistence: Least share of that distance that is not already inside the region.
        max_area_share: Largest region, as a share of the photo.
        max_border_share: A region that covers more of the photo's border than this is ground, and no proposal.
        ground_distance: A region whose mean colour is this near to that of the ground is ground seen through a gap,
            and no proposal; 0 keeps it.
        area_power: Power of the area (as a share of the photo) in the confidence.
        fill_holes: Whether holes of a region are filled.
        max_regions: The most confident are kept.
    """

    kind: Literal["regions"]
    working_px: Annotated[int, Field(ge=16)]
    smoothing_px: Annotated[tuple[Annotated[float, Field(gt=0, le=32)], ...], Field(min_length=1)]
    gradient_step: Annotated[float, Field(gt=0)]
    boundary_weight: Share
    texture_weight: Annotated[float, Field(ge=0)]
    small_px: Annotated[int, Field(ge=1)]
    min_contrast: Annotated[float, Field(ge=0)]
    min_persistence: Share
    max_area_share: Annotated[float, Field(gt=0, le=1)]
    max_border_share: Share
    ground_distance: Annotated[float, Field(ge=0)]
    area_power: Annotated[float, Field(ge=0, le=1)]
    fill_holes: bool
    max_regions: Annotated[int, Field(ge=1)]


class FileSettings(Section):
    """A row of `sources` of kind `file`: masks that something else made.

    Attributes:
        path: JSON in the form of COCO results, or a folder with one file a photo in that of SA-1B, whose predicted_iou
            is the score; from the project's folder. `{split}` stands for the split's name.
    """

    kind: Literal["file"]
    path: Annotated[str, in_form(PLAIN_PATH, PLAIN_PATH_WORDS)]

    def of_split(self, split: str) -> str:
        """The path of a split's masks."""
        return self.path.replace("{split}", split)


class TruthSettings(Section):
    """A row of `sources` of kind `truth`: the true masks of the photo's targets (an oracle)."""

    kind: Literal["truth"]


class ThresholdSettings(Section):
    """A row of `heat_sources`: masks cut from the heat map of each expression.

    Attributes:
        readout: Name of the row of `readouts` that makes the heat map.
        thresholds: Rising values in (0, 1]; a mask is where the heat is at least this.
        parts: The whole mask, or each of its connected parts (edges and corners connect).
        min_part_px: Smallest mask or part that is kept, pixels of the photo.
    """

    kind: Literal["threshold"]
    readout: Annotated[str, Field(min_length=1)]
    thresholds: Annotated[tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(min_length=1)]
    parts: Literal["whole", "components"]
    min_part_px: Annotated[int, Field(ge=1)]

    @field_validator("thresholds")
    @classmethod
    def _rising(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(values)):
            raise ValueError("expected rising values, each once")
        return values


PhotoSourceSettings = SamSettings | RegionsSettings | FileSettings | TruthSettings

SettingsT = TypeVar("SettingsT", SamSettings | RegionsSettings | FileSettings | TruthSettings, ThresholdSettings)


@dataclass(frozen=True, slots=True)
class SourceRows(Generic[SettingsT]):
    """A section of params.yaml whose rows are sources, each of one of several kinds.

    Attributes:
        section: Its name.
        kinds: The settings of each kind.
    """

    section: str
    kinds: Mapping[str, type[SettingsT]]

    def read(self, params: dict[str, Any], name: str) -> SettingsT:
        """The row `name` of params.yaml's content.

        Raises:
            ParameterError: There is none, its kind is unknown, or it does not fit its kind.
        """
        where = f"{self.section}.{name}"
        return self.parse(find(params, where), where)

    def parse(self, row: object, where: str) -> SettingsT:
        """A row as the settings of its kind; `where` is its dotted name, for messages.

        Raises:
            ParameterError: Its kind is unknown, or it does not fit its kind.
        """
        return parse_section(self.kind_of(row, where), row, where)

    def kind_of(self, row: object, where: str) -> type[SettingsT]:
        """The settings of a row's kind.

        Raises:
            ParameterError: It has none, or the kind is unknown.
        """
        if not isinstance(row, dict) or "kind" not in row:
            raise ParameterError(f"{where}: no kind; expected one of: {', '.join(self.kinds)}; add it")
        if row["kind"] not in list(self.kinds):  # a kind may be anything, hashable or not
            expected = expected_names(row["kind"], self.kinds)
            raise ParameterError(f"{where}.kind: unknown kind {row['kind']!r}; {expected}")
        return self.kinds[row["kind"]]


PHOTO_SOURCES: SourceRows[PhotoSourceSettings] = SourceRows(
    "sources", {"sam": SamSettings, "regions": RegionsSettings, "file": FileSettings, "truth": TruthSettings}
)
HEAT_SOURCES: SourceRows[ThresholdSettings] = SourceRows("heat_sources", {"threshold": ThresholdSettings})
