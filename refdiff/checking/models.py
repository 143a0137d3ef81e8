"""The models that rows use, by their configurations alone, before anything is computed (no torch).

What can never work ends every stage that computes from a model, and the stages before them. A model that is merely not
here is another matter. The stages that read data only (draw_scenes, prepare_dataset) warn of it: data may be prepared
on another machine. A stage that computes from models ends at it, as hours of its own may lie before the stage that
needs it, but only where something that it makes is not here: stores that were pulled need no model. A run of a part
(`--part i/N`) looks at no model but its own, which it needs anyway. Stages behind the stores look at none.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from refdiff.checking.maps import find_map_conflicts
from refdiff.checking.sections import Project
from refdiff.clip.checkpoint import describe_checkpoint
from refdiff.clip.inspection import inspect_clip
from refdiff.demo.models import MODELS
from refdiff.diffusion.inspection import PipelineFacts, inspect_pipeline
from refdiff.errors import ModelMissingError, RefdiffError
from refdiff.layout import SplitLayout
from refdiff.model_files import ModelFacts
from refdiff.paths import LOCAL_CLIP, expand
from refdiff.proposals.inspection import inspect_sam
from refdiff.proposals.settings import FileSettings, RegionsSettings, SamSettings

READING = ("draw_scenes", "prepare_dataset")
COMPUTING = ("parse_text", "extract_attention", "propose_masks", "embed_clip")


@dataclass(frozen=True, slots=True)
class Use:
    """A model, or a file of masks, and what uses it.

    Attributes:
        where: The parameter that names it.
        name: The model or file, as messages call it.
        stage: The stage that computes from it.
        outputs: What that stage makes of it.
    """

    where: str
    name: str
    stage: str
    outputs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ModelUse(Use):
    """A model and what uses it.

    Attributes:
        device: Where it is to run.
        dtype: In which precision.
        inspect: Finds it, and refuses what can never work.
    """

    device: str
    dtype: str
    inspect: Callable[[], ModelFacts]

    @property
    def is_demo(self) -> bool:
        """Whether it is one of the package's own, which know drawn shapes alone."""
        return expand(self.name.removeprefix(LOCAL_CLIP)).resolve().is_relative_to(MODELS)


@dataclass(frozen=True, slots=True)
class ModelFindings:
    """What is to be said of the models.

    Attributes:
        facts: Of the models that are here and can work, by the parameter that names each.
        absent: Models and files of masks that are not here, with a line each.
        problems: What can never work, or why a stage may not begin, a line each.
        warnings: What is probably not meant, by the stage that it is about.
    """

    facts: dict[str, ModelFacts] = field(default_factory=dict)
    absent: list[tuple[Use, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def warnings_for(self, stage: str) -> list[str]:
        """Those about a stage; the first stages that run say all of them."""
        return [text for about, text in self.warnings if stage in (*READING, "parse_text", about)]


def list_models(project: Project) -> Iterator[ModelUse]:
    """Every model that a row of the project uses, as far as the parameters fit."""
    layouts = [SplitLayout(split) for split in project.names.get("splits", ())]
    sources = project.rows["sources"]
    sd, proposing, clip = map(project.sections.get, ("extract_attention", "propose_masks", "embed_clip"))
    if sd is not None and project.rows["captures"]:
        attention = tuple(each.attention(capture) for each in layouts for capture in project.rows["captures"])
        look = partial(inspect_pipeline, sd.model, sd.revision)
        stage = "extract_attention"
        yield ModelUse(f"{stage}.model", sd.model, stage, attention, sd.device, sd.dtype, look)
    for name, row in sources.items():
        if isinstance(row, SamSettings) and proposing is not None:
            masks = tuple(each.proposals(name) for each in layouts)
            look = partial(inspect_sam, row.model, row.revision)
            where = f"sources.{name}.model"
            yield ModelUse(where, row.model, "propose_masks", masks, proposing.device, row.dtype, look)
    if clip is not None and sources:
        embeddings = tuple(each.clip(source) for each in layouts for source in sources)
        look, model = (
            partial(inspect_clip, clip.model, clip.pretrained),
            describe_checkpoint(clip.model, clip.pretrained),
        )
        yield ModelUse("embed_clip.model", model, "embed_clip", embeddings, clip.device, clip.dtype, look)


def examine_models(project: Project) -> ModelFindings:
    """Look at all models that the project uses, and at what is asked of them.

    Args:
        project: What fits of params.yaml.
    """
    uses = list(list_models(project))
    found = ModelFindings(warnings=[*_warn_of_demo(project, uses), *_warn_of_idle_readouts(project)])
    for use in uses:
        try:
            facts = found.facts[use.where] = use.inspect()
        except ModelMissingError as error:
            found.absent.append((use, f"{use.where}: {error}"))
        except RefdiffError as error:
            found.problems.append(f"{use.where}: {error}")
        else:
            if isinstance(facts, PipelineFacts):
                found.problems.extend(find_map_conflicts(project, facts))
                for name, capture in project.rows["captures"].items():
                    if text := facts.warn_of_canvas(capture.canvas_px):
                        found.warnings.append((use.stage, f"captures.{name}.{text}"))
    for use in _list_masks(project):
        if not expand(use.name).exists():
            text = "is not there; expected masks as JSON, or a folder of such files; make it or correct the path"
            found.absent.append((use, f"{use.where}: {use.name} {text}"))
    return found


def _list_masks(project: Project) -> Iterator[Use]:
    """Files of masks that something else makes."""
    for name, row in project.rows["sources"].items():
        if isinstance(row, FileSettings):
            for split in project.names.get("splits", ()):
                masks = (SplitLayout(split).proposals(name),)
                yield Use(f"sources.{name}.path", row.of_split(split), "propose_masks", masks)


def check_models(project: Project, stage: str, is_part: bool) -> ModelFindings:
    """As `examine_models`, with what a model that is not here means for a stage.

    Args:
        project: All of params.yaml, which fits.
        stage: The stage that is to begin, one of `READING` and `COMPUTING`.
        is_part: Whether it computes only a part.
    """
    found = examine_models(project)
    for use, line in found.absent:
        if stage in READING:
            found.warnings.append((use.stage, line))
        elif not is_part and not all(path.exists() for path in use.outputs):
            found.problems.append(f"{line}; or remove the rows that need it")
    return found


def _warn_of_demo(project: Project, uses: list[ModelUse]) -> Iterator[tuple[str, str]]:
    """What is left on the demo's settings beside models of photos."""
    real = [use for use in uses if not use.is_demo]
    if not real:
        return
    beside = f"beside {real[0].name} of {real[0].where}"
    for use in uses:
        if use.is_demo:
            yield use.stage, f"{use.where}: is the demo's, which knows drawn shapes and no photos, {beside}"
    drawn = project.sections.get("draw_scenes")
    for name, row in project.rows["splits"].items():
        if drawn is not None and row.folder == drawn.folder:
            text = "its drawn scenes run through these models too; remove the row where that is not meant"
            yield "extract_attention", f"splits.{name}: is the demo, {beside}; {text}"
    from refdiff.presets.table import PRESETS

    demo = PRESETS["demo"].read()["sources"]["regions"]["min_contrast"]
    for name, row in project.rows["sources"].items():
        if isinstance(row, RegionsSettings) and row.min_contrast == demo:
            text = "values for photos stand in the comments of params.yaml"
            yield "propose_masks", f"sources.{name}: has the demo's values, for drawn shapes, {beside}; {text}"


def _warn_of_idle_readouts(project: Project) -> Iterator[tuple[str, str]]:
    for name, method in project.rows["methods"].items():
        if method.readout is not None and not method.uses_heat:
            yield "fuse_scores", f"methods.{name}.readout: {method.readout} is not read, as generative_weight is 0"
