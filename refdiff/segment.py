"""One photo, any number of sentences, any method row: in memory, by the functions that the stages use."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.attention.maps import CrossMaps
from refdiff.clip.ramps import variant_of
from refdiff.clip.settings import ClipSettings
from refdiff.device import choose_device, describe_device
from refdiff.diffusion.settings import ExtractionSettings
from refdiff.errors import ImageError, ParameterError, TextError
from refdiff.fusion.photo import Choice, choose_mask
from refdiff.fusion.scores import ClipViews, Scores
from refdiff.geometry import square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.readout import head_rule, token_positions
from refdiff.masks.rle import decode_mask
from refdiff.params import Section, read_params
from refdiff.paths import expand_local
from refdiff.photo import convert_image, open_photo
from refdiff.presets.table import PRESETS
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.settings import SamSettings, ThresholdSettings
from refdiff.recipe import Recipe, locate_models, read_recipe
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.settings import ParserSettings

if TYPE_CHECKING:
    from refdiff.clip.embedder import ClipEmbedder
    from refdiff.diffusion.extractor import AttentionExtractor
    from refdiff.text.parser import Parser

DEFAULT_METHOD = PRESETS["demo"].method
_log = logging.getLogger(__name__)
PHOTO_ID = "photo"
"""Seeds the noise of a photo that has no id of its own."""

Heats = dict[str, list[NDArray[np.float32]]]
T = TypeVar("T")
SectionT = TypeVar("SectionT", bound=Section)
PhotoLike = os.PathLike[str] | str | Image.Image | NDArray[np.uint8]
"""A file, a Pillow image (its EXIF orientation is applied), or RGB uint8 `[H W 3]`."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a sentence means on a photo, and how it was found.

    Attributes:
        sentence: As given.
        method: The method's name.
        mask: Bool `[H W]`; empty when there was nothing to choose from.
        heat: Heat of the method's readout, float32 `[H W]` in [0, 1]; None where the method uses no heat.
        proposals: Every proposal at the photo's size.
        choice: Which of them is chosen (`index`, -1 for none), which took part (`kept`), and all scores.
        parsed: Head word, direction and token spans of the sentence.
    """

    sentence: str
    method: str
    mask: NDArray[np.bool_]
    heat: NDArray[np.float32] | None
    proposals: Proposals
    choice: Choice
    parsed: ParsedText

    @property
    def scores(self) -> dict[str, float]:
        """Parts of the score of the chosen mask, by the names of `Scores`; those that the method has."""
        if self.choice.index < 0:
            return {}
        values = {name: float(getattr(self.choice.scores, name)[self.choice.index]) for name in Scores._fields}
        return {name: value for name, value in values.items() if not np.isnan(value)}

    @property
    def head(self) -> HeadWord:
        """Head word by the paper's rule."""
        return self.parsed.root


class Segmenter:
    """Finds what sentences mean on photos; each model is loaded once, when a method first needs it.

    Several threads may use one segmenter: they take turns with its models, and results are those of one thread.

    Attributes:
        method: The method that is used where none is named.
    """

    def __init__(
        self,
        params: os.PathLike[str] | str | dict[str, Any] | None = None,
        method: str = DEFAULT_METHOD,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Read the parameters; nothing is loaded yet.

        Args:
            params: A parameter file (folders in it are relative to it where they are there), its content, or None for
                the demo's with the package's own models.
            method: A row of `methods`.
            tell: Called with a line on each model that was loaded: where it runs, in which precision.

        Raises:
            ParameterError: The file or the method is not there, or something in it does not fit.
        """
        self._params = _load_params(params)
        self.method = method
        self._tell = tell
        self._recipes: dict[str, Recipe] = {}
        self._get_recipe(method)
        self._loaded: dict[tuple[str, str], Any] = {}
        self._turn = Lock()

    @property
    def loaded(self) -> tuple[str, ...]:
        """What is in memory by now: any of parser, extractor, clip and source, once per settings."""
        return tuple(kind for kind, _ in self._loaded)

    def segment(
        self,
        photo: PhotoLike,
        sentences: str | Iterable[str],
        method: str | None = None,
        photo_id: str = PHOTO_ID,
    ) -> list[Segmentation]:
        """The masks that sentences mean.

        Args:
            photo: A file, a Pillow image, or RGB uint8 `[H W 3]`.
            sentences: Any number of them; a string is one.
            method: A row of `methods`; the segmenter's own when None.
            photo_id: Seeds the noise; with a dataset's image id the result is the pipeline's.

        Returns:
            One per sentence.

        Raises:
            ParameterError: There is no such method, or its parameters do not fit.
            ImageError: The photo is none of these, or cannot be read.
            TextError: A sentence is blank, or is no string.
            ModelError: A model is not on this machine, or cannot be loaded.
        """
        rgb, words = as_photo(photo), _as_sentences(sentences)
        with self._turn:
            return self._segment(self._get_recipe(self.method if method is None else method), rgb, words, photo_id)

    def _segment(
        self, recipe: Recipe, rgb: NDArray[np.uint8], sentences: Sequence[str], photo_id: str
    ) -> list[Segmentation]:
        names = [f"sentence {place}" for place in range(1, len(sentences) + 1)]
        parsed = list(self._load("parser", recipe.text, _open_parser).parse_all(sentences, names))
        if not parsed:
            return []
        heats = self._read_heats(recipe, rgb, parsed, photo_id)
        proposals = self._propose(recipe, rgb, heats, parsed, photo_id)
        views = self._embed(recipe, rgb, proposals[0], parsed)
        readout = recipe.method.readout if recipe.method.uses_heat else None
        results = []
        for place, each in enumerate(parsed):
            heat = None if readout is None else heats[readout][place]
            choice = choose_mask(recipe.method, proposals[place], heat, None if views is None else views[place])
            results.append(_describe(recipe, rgb, each, heat, proposals[place], choice))
        return results

    def _get_recipe(self, method: str) -> Recipe:
        if not isinstance(method, str):
            raise ParameterError(f"method: expected a name of a row of methods, got {type(method).__name__}")
        if method not in self._recipes:
            self._recipes[method] = read_recipe(self._params, method)
        return self._recipes[method]

    def _load(self, kind: str, settings: SectionT, open_it: Callable[[SectionT], T], device: str | None = None) -> T:
        """The model of these settings, loaded at the first call; methods with equal settings share it.

        Args:
            kind: What it is for.
            settings: Its settings.
            open_it: Loads it.
            device: Where it runs, as a parameter names it; None if it is no network.
        """
        key = (kind, settings.model_dump_json())
        if key not in self._loaded:
            self._loaded[key] = open_it(settings)
            if device is not None:
                network: Any = settings
                self._tell(f"{network.model}: on {describe_device(choose_device(device), network.dtype)}")
        return self._loaded[key]

    def _read_heats(self, recipe: Recipe, rgb: NDArray[np.uint8], parsed: Sequence[ParsedText], photo_id: str) -> Heats:
        """Heat of every sentence by every readout of the recipe."""
        if recipe.extraction is None:
            return {}
        extractor = self._load("extractor", recipe.extraction, _open_extractor, recipe.extraction.device)
        sentences = [each.sentence for each in parsed]
        maps: dict[str, list[CrossMaps]] = {}
        heats: Heats = {}
        for name, readout in recipe.readouts.items():
            capture = recipe.captures[readout.capture]
            if readout.capture not in maps:
                maps[readout.capture] = extractor.capture(rgb, photo_id, sentences, capture)
            frame = square_frame(rgb.shape[0], rgb.shape[1], capture.canvas_mode)
            heats[name] = []
            for each, cross in zip(parsed, maps[readout.capture], strict=True):
                head = each.head(head_rule(readout))
                positions = token_positions(readout, head.unet_first, head.unet_last, each.unet_tokens)
                heats[name].append(heat_map(cross, positions, readout, frame, repr(each.sentence)))
        return heats

    def _propose(
        self, recipe: Recipe, rgb: NDArray[np.uint8], heats: Heats, parsed: Sequence[ParsedText], photo_id: str
    ) -> list[Proposals]:
        """Candidates of every sentence."""
        if isinstance(recipe.source, ThresholdSettings):
            from refdiff.proposals.threshold import cut_heat

            return [cut_heat(heat, recipe.source) for heat in heats[recipe.source.readout]]
        from refdiff.proposals.opening import open_source, propose
        from refdiff.proposals.source import Photo

        device = recipe.proposing.device
        source = self._load(
            "source",
            recipe.source,
            lambda settings: open_source(settings, device),
            device if isinstance(recipe.source, SamSettings) else None,
        )
        found = propose(Photo.of_pixels(rgb, photo_id), source, recipe.proposing.filters)
        return [found] * len(parsed)

    def _embed(
        self, recipe: Recipe, rgb: NDArray[np.uint8], proposals: Proposals, parsed: Sequence[ParsedText]
    ) -> list[ClipViews] | None:
        """CLIP's views of the photo's proposals and of the texts, for every sentence."""
        if recipe.clip is None:
            return None
        from refdiff.clip.mask_stack import CodedMasks

        embedder, method = self._load("clip", recipe.clip, _open_clip, recipe.clip.device), recipe.method
        local = [variant_of(method.local_ramp, each.direction, each.direction_released) for each in parsed]
        whole = [variant_of(method.global_ramp, each.direction, each.direction_released) for each in parsed]
        masks = CodedMasks(proposals.counts, proposals.height, proposals.width)
        views = embedder.embed_photo(rgb, masks, sorted(set(local)), sorted(set(whole)))
        texts = embedder.embed_texts(
            [each.sentence for each in parsed] + [each.head(method.head_rule).text for each in parsed]
        )
        return [
            ClipViews(
                views.local[local[place]],
                views.global_view[whole[place]],
                texts[place],
                texts[len(parsed) + place],
            )
            for place in range(len(parsed))
        ]


def _load_params(params: os.PathLike[str] | str | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(params, dict):
        return params
    if params is None:
        return PRESETS["demo"].read()
    if not isinstance(params, os.PathLike | str):
        raise ParameterError(f"params: expected a file's path or a mapping of sections, got {type(params).__name__}")
    path = expand_local(Path(params))
    if path.name in PRESETS and not path.exists():
        raise ParameterError(
            f"{path}: is no file but a preset's name; expected a file or its content; write --preset {path.name} on a "
            f"command line, and refdiff.presets.table.PRESETS[{path.name!r}].read() in Python"
        )
    return locate_models(read_params(path), path.resolve().parent)


def as_photo(photo: PhotoLike) -> NDArray[np.uint8]:
    """The photo as RGB uint8 `[H W 3]`; what is passed over in its file (a colour profile, frames) is a warning.

    Raises:
        ImageError: It is none, or cannot be read.
    """
    if isinstance(photo, os.PathLike | str):
        path = expand_local(Path(photo))
        photo = _remarked(open_photo(path), str(path))
    elif isinstance(photo, Image.Image):
        photo = _remarked(photo, "photo")
    expected = "a file's path, a Pillow image or RGB uint8 [height width 3]"
    if not isinstance(photo, np.ndarray):
        raise ImageError(f"photo: expected {expected}, got {type(photo).__name__}; decode or convert it first")
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or photo.size == 0:
        raise ImageError(f"photo: expected {expected}, got {photo.dtype} {list(photo.shape)}; convert it first")
    return photo


def _remarked(image: Image.Image, name: str) -> NDArray[np.uint8]:
    from refdiff.dataset.photo_remarks import remark_on_image

    rgb = convert_image(image, name)[0]
    for _, text in remark_on_image(image):
        _log.warning("%s: %s", name, text)
    return rgb


def _as_sentences(sentences: str | Iterable[str]) -> list[str]:
    if isinstance(sentences, str):
        return [sentences]
    if not isinstance(sentences, Iterable) or isinstance(sentences, bytes | Mapping):
        raise TextError(f"sentences: expected a string or strings, got {type(sentences).__name__}; give words")
    found = list(sentences)
    for place, sentence in enumerate(found, 1):
        if not isinstance(sentence, str):
            raise TextError(f"sentence {place}: expected a string, got {type(sentence).__name__}; give words")
    return found


def _describe(
    recipe: Recipe,
    rgb: NDArray[np.uint8],
    parsed: ParsedText,
    heat: NDArray[np.float32] | None,
    proposals: Proposals,
    choice: Choice,
) -> Segmentation:
    mask = np.zeros(rgb.shape[:2], np.bool_)
    if choice.index >= 0:
        mask = decode_mask(proposals.counts[choice.index], proposals.height, proposals.width)
    return Segmentation(parsed.sentence, recipe.name, mask, heat, proposals, choice, parsed)


def _open_parser(settings: ParserSettings) -> "Parser":
    from refdiff.text.parser import Parser

    return Parser(settings)


def _open_extractor(settings: ExtractionSettings) -> "AttentionExtractor":
    from refdiff.diffusion.extractor import AttentionExtractor

    return AttentionExtractor(settings)


def _open_clip(settings: ClipSettings) -> "ClipEmbedder":
    from refdiff.clip.embedder import ClipEmbedder

    return ClipEmbedder(settings)
