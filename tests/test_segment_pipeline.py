"""The segmenter against the stages' own functions: the same masks, scores and heat."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from demo.scenes import draw_scene
from refdiff.attention.store import AttentionStore
from refdiff.clip.embed_split import embed_split
from refdiff.clip.settings import ClipSettings
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.diffusion.extraction import extract_split
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.predictions import PredictionTable
from refdiff.fusion.run import fuse_split
from refdiff.fusion.settings import FuseScoresSettings, MethodSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import join_tables, measure_overlap, write_overlap
from refdiff.masks.rle import decode_mask, encode_mask
from refdiff.params import find, parse_section, read_params
from refdiff.proposals.filters import filter_proposals
from refdiff.proposals.heat_split import propose_heat_split
from refdiff.proposals.propose_split import NamedSource, propose_split
from refdiff.proposals.settings import HEAT_SOURCES, PHOTO_SOURCES, ProposeMasksSettings
from refdiff.proposals.tables import read_proposals, write_proposals
from refdiff.segment import Segmenter, locate_models
from refdiff.store.fingerprint import digest_file
from refdiff.text.parser import Parser
from refdiff.text.settings import read_parser_settings
from refdiff.text.tables import read_text, write_text
from tests.demo_scene import scene_sentences

ROOT = Path(__file__).parents[1]
SEEDS = (3, 8)


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    return locate_models(read_params(ROOT / "refdiff/presets/demo.yaml"), ROOT)


@pytest.fixture(scope="module")
def layout(params: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> SplitLayout:
    """Every artifact of a split of two scenes, by the functions that the stages call."""

    def section(model: Any, name: str) -> Any:
        return parse_section(model, find(params, name), name)

    root = tmp_path_factory.mktemp("pipeline")
    layout = SplitLayout("val", root)
    dataset = _dataset(root)
    write_dataset(layout.dataset, dataset)
    sentences, ids = dataset.expressions.sentence, dataset.expressions.expression_id
    write_text(layout.text, list(Parser(read_parser_settings(params)).parse_all(sentences, ids)), {})
    extraction = section(ExtractAttentionSettings, "extract_attention")
    for name in ("paper", "released"):
        extract_split(layout, name, section(CaptureSettings, f"captures.{name}"), extraction, lambda *_: None)
    proposing = section(ProposeMasksSettings, "propose_masks")
    regions = PHOTO_SOURCES.parse(params["sources"]["regions"], "sources.regions")
    made = propose_split(layout, dataset, NamedSource("regions", regions, "cpu"), lambda *_: None)
    parts = [filter_proposals(part, proposing.filters) for part in made.parts or ()]
    write_proposals(layout.proposals("regions"), parts, range(len(SEEDS)), None, {})
    heat_source = HEAT_SOURCES.parse(params["heat_sources"]["weak"], "heat_sources.weak")
    readout = section(ReadoutSettings, f"readouts.{heat_source.readout}")
    store = AttentionStore.open(layout.attention(readout.capture))
    text = read_text(layout.text)
    cut = list(propose_heat_split(dataset, text, store, readout=readout, settings=heat_source, workers=1))
    images = dataset.expressions.image_index.tolist()
    write_proposals(layout.proposals("weak"), cut, images, range(len(ids)), {})
    for name in ("regions", "weak"):
        table = join_tables(measure_overlap(dataset, read_proposals(layout.proposals(name))))
        write_overlap(layout.overlap(name), table, {})
    embed_split(layout, "regions", section(ClipSettings, "embed_clip"), lambda *_: None)
    return layout


@pytest.fixture(scope="module")
def segmenter(params: dict[str, Any]) -> Segmenter:
    return Segmenter(params)


@pytest.mark.parametrize("method", ["ref-diff", "gs", "ds", "ref-diff-plus", "released"])
def test_in_memory_is_what_the_stages_make(
    layout: SplitLayout, params: dict[str, Any], segmenter: Segmenter, method: str
) -> None:
    table = _fuse(layout, params, method)
    for image, seed in enumerate(SEEDS):
        photo, sentences = draw_scene(seed).image, scene_sentences(seed)
        for place, found in enumerate(segmenter.segment(photo, sentences, method, photo_id=f"photo{image}")):
            row = image * len(sentences) + place
            assert table.sentence[row] == found.sentence
            assert table.n_proposals[row] == found.choice.kept.sum()
            # Stored maps are half precision.
            assert found.scores["total"] == pytest.approx(float(table.score[row]), abs=2e-3)
            mask = decode_mask(table.counts[row], *photo.shape[:2])
            shared, joint = (mask & found.mask).sum(), (mask | found.mask).sum()
            assert shared / joint > 0.98


def _dataset(root: Path) -> Dataset:
    scenes = [draw_scene(seed) for seed in SEEDS]
    for index, scene in enumerate(scenes):
        Image.fromarray(scene.image).save(root / f"photo{index}.png")
    ids = [f"photo{index}" for index in range(len(scenes))]
    masks = [scene.objects[place].mask for scene in scenes for place in (0, 1)]
    image_index = np.repeat(np.arange(len(scenes), dtype=np.int32), 2)
    refs = [f"r{index}" for index in range(len(masks))]
    return Dataset(
        Images(
            ids,
            [f"photo{index}.png" for index in range(len(scenes))],
            np.array([scene.image.shape[0] for scene in scenes], np.int32),
            np.array([scene.image.shape[1] for scene in scenes], np.int32),
            [digest_file(root / f"photo{index}.png") for index in range(len(scenes))],
        ),
        Expressions(
            [f"e{index}" for index in range(len(masks))],
            refs,
            image_index,
            [ids[index] for index in image_index],
            [sentence for seed in SEEDS for sentence in scene_sentences(seed)],
            np.arange(len(masks), dtype=np.int32),
        ),
        Targets(
            refs,
            image_index,
            [encode_mask(mask) for mask in masks],
            np.array([mask.sum() for mask in masks], np.int64),
            np.ones(len(masks), np.int32),
        ),
        {"split": "val", "dropped": [], "provenance": {}},
    )


def _fuse(layout: SplitLayout, params: dict[str, Any], name: str) -> PredictionTable:
    method = parse_section(MethodSettings, params["methods"][name], f"methods.{name}")
    readout = None
    if method.readout is not None:
        readout = parse_section(ReadoutSettings, params["readouts"][method.readout], "readouts")
    settings = FuseScoresSettings(pool_masks=False)
    inputs = open_inputs(layout, method, readout, settings)
    return fuse_split(inputs, method, readout, lambda steps, _: steps)
