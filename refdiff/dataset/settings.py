"""Parameters of the dataset stage: a row of `splits`, and the section `prepare_dataset`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from refdiff.parameter_words import in_form
from refdiff.params import Section
from refdiff.paths import PLAIN_PATH, PLAIN_PATH_WORDS
from refdiff.photo import MAX_PIXELS

Format = Literal["refer", "grefcoco", "jsonl"]
SentenceField = Literal["raw", "sent"]
OverlapRule = Literal["union", "once", "even_odd"]
MaskValues = Literal["binary", "nonzero", "half"]
FrameRule = Literal["auto", "oriented", "stored"]

Folder = Annotated[str, in_form(PLAIN_PATH, PLAIN_PATH_WORDS)]
# Becomes a part of a file name, so it holds no separators.
NamePart = Annotated[str, in_form(r"\w[\w.+-]*", "letters, digits, _, and after the first of them also . + -")]


class SplitRow(Section):
    """One dataset split, a row of `splits`.

    Attributes:
        format: `refer` (pickle and instances.json), `grefcoco` (JSON and instances.json) or `jsonl`.
        folder: Holds the annotation files; a mask file named in a JSONL lies in it. DVC watches it, and does not
            know `~`.
        images: The folder that photo names are relative to.
        split_by: The author of the split as in `refs(<split_by>).p`: unc, umd, google, berkeley; null for jsonl.
        split: The split's name in the annotation file; for jsonl the file is `<folder>/<split>.jsonl`.
        benchmark: The published benchmark that this split is, for the report; null for none.
    """

    format: Format
    folder: Folder
    images: Folder
    split_by: NamePart | None
    split: NamePart
    benchmark: str | None

    @model_validator(mode="after")
    def _check_split_by(self) -> "SplitRow":
        if self.format == "jsonl" and self.split_by is not None:
            raise ValueError("split_by must be null for format jsonl")
        if self.format != "jsonl" and self.split_by is None:
            raise ValueError(f"split_by is needed for format {self.format}: the name in refs(<split_by>).p")
        return self


class PrepareDatasetSettings(Section):
    """The section `prepare_dataset`.

    Attributes:
        on_fault: `refuse` a dataset that has faults, or `drop` what is faulty and count it.
        sentence: Which text of a REFER sentence: `raw` as written, or `sent` as cleaned by REFER.
        overlapping_polygons: What pixels covered by several polygons of one annotation are: `union` in the mask;
            `once` out of it (code that compares the sum with 1); `even_odd` in it when covered an odd number of times.
        mask_values: Which pixels of a mask PNG belong to the mask. `binary`: those that are not 0, and all of them have
            one value, other files are refused; `nonzero`: those that are not 0; `half`: those of at least half of the
            brightest value that the file's depth allows (128 of 8 bits). Of a palette the entries' numbers count and
            not their colours; `half` refuses it, and `binary` where entry 0 is the lighter colour.
        annotation_frame: Which frame masks are drawn in when a photo has an EXIF orientation: the `oriented` one that
            viewers show, the `stored` one, or `auto`: whichever has the annotated size, `oriented` when both have.
        links_outside: `refuse` photos and masks that are symbolic links to somewhere outside the dataset, or `follow`
            them (a DVC cache of type symlink makes such links).
        max_pixels: Photos with more pixels are faults (decompression bombs).
    """

    on_fault: Literal["refuse", "drop"]
    sentence: SentenceField
    overlapping_polygons: OverlapRule
    mask_values: MaskValues
    annotation_frame: FrameRule
    links_outside: Literal["refuse", "follow"]
    max_pixels: int = Field(ge=1, le=MAX_PIXELS)
