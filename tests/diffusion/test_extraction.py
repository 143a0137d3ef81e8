"""A split into a store: resumed, refused, repeated; and the stage as a person runs it."""

import errno
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from refdiff.attention.store import AttentionStore
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.diffusion import job
from refdiff.diffusion.extraction import Extracted, extract_split
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.errors import ParameterError, ShardsFailedError, StoreError, StoreMismatchError
from refdiff.layout import SplitLayout
from refdiff.photo import convert_image, open_photo
from refdiff.store.attention_writer import AttentionWriter
from refdiff.store.fingerprint import digest_file
from refdiff.text.parsed import HeadWord, ParsedText
from refdiff.text.tables import write_text
from tests.diffusion.rows import ENGINE, MODEL, PAPER, RELEASED, SECTION, make_capture, make_photo, make_section
from tests.whole_params import whole_params

PROJECT = Path(__file__).parents[2]
SELF_LAYER = "up_blocks.2.attentions.0.transformer_blocks.0.attn1"
IMAGE_OF = [0, 0, 0, 1, 1]
SENTENCES = ["the red cat", "dog", "left eye of the cat", "a cup", "spoon on the right"]
TOKENS = [3, 1, 5, 2, 4]


def write_inputs(root: Path, tokens: list[int]) -> SplitLayout:
    """Two photos and five sentences, as the earlier stages leave them."""
    return write_split(root, SENTENCES, tokens, IMAGE_OF, (0, 1))


def write_split(
    root: Path, sentences: list[str], tokens: list[int], image_of: list[int], seeds: tuple[int, ...]
) -> SplitLayout:
    """Photos, each drawn by its seed, and sentences about them, as the earlier stages leave them."""
    layout = SplitLayout("tiny", root)
    root.mkdir(exist_ok=True)
    sizes = [(30, 50), (40, 20), (24, 24)][: len(seeds)]
    for index, (seed, size) in enumerate(zip(seeds, sizes, strict=True)):
        Image.fromarray(make_photo(seed, *size)).save(root / f"{index}.png")
    count = len(sentences)
    write_dataset(
        layout.dataset,
        Dataset(
            Images(
                list("abc"[: len(seeds)]),
                [f"{index}.png" for index in range(len(seeds))],
                np.array([size[0] for size in sizes], np.int32),
                np.array([size[1] for size in sizes], np.int32),
                [digest_file(root / f"{index}.png") for index in range(len(seeds))],
            ),
            Expressions(
                [str(index) for index in range(count)],
                [str(index) for index in range(count)],
                np.array(image_of, np.int32),
                ["abc"[image] for image in image_of],
                sentences,
                np.full(count, -1, np.int32),
            ),
            Targets([], np.zeros(0, np.int32), [], np.zeros(0, np.int64), np.zeros(0, np.int32)),
            {"split": "tiny", "provenance": {}},
        ),
    )
    write_tokens(layout, sentences, tokens)
    return layout


def write_tokens(layout: SplitLayout, sentences: list[str], tokens: list[int]) -> None:
    head = HeadWord("x", 0, 1, 1, 1)
    rows = [
        ParsedText(sentence, head, head, "", count, count, "none", "none", (), False)
        for sentence, count in zip(sentences, tokens, strict=True)
    ]
    write_text(layout.text, rows, {})


@pytest.fixture
def layout(tmp_path: Path) -> SplitLayout:
    return write_inputs(tmp_path, TOKENS)


@pytest.fixture
def loads(extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often a model is loaded; the one that is there already is given out."""
    loaded: list[str] = []

    def give(_settings, identity) -> AttentionExtractor:
        loaded.append(identity.name)
        return extractor

    monkeypatch.setattr(job, "AttentionExtractor", give)
    return loaded


def extract(layout: SplitLayout, row: dict[str, Any] = PAPER, **changes: Any) -> Extracted:
    return extract_split(layout, "paper", make_capture(row), make_section(**changes), lambda _done, _total: None)


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_store_holds_what_the_extractor_gives(layout: SplitLayout, extractor: AttentionExtractor, loads: list[str]):
    row = {**RELEASED, "self_layers": [SELF_LAYER]}
    made = extract(layout, row)
    assert (made.expressions, made.images, made.maps, made.shards, made.computed) == (5, 2, 32, 3, 3)
    capture = make_capture(row)
    store = AttentionStore.open(made.path, expressions=5, capture=capture.model_dump(mode="json"))
    assert store.tokens.tolist() == TOKENS
    for image in (0, 1):
        mine = [index for index in range(5) if IMAGE_OF[index] == image]
        photo, _ = convert_image(open_photo(layout.root / f"{image}.png"), f"{image}.png")
        asked = [SENTENCES[index] for index in mine]
        maps = extractor.capture_image(photo, "ab"[image], asked, capture, with_self=True)
        for index, expected in zip(mine, maps.cross, strict=True):
            got = store.read(index)
            for size, block in expected.maps.items():
                np.testing.assert_allclose(got.maps[size], block, atol=0.01)
        assert maps.self_attention is not None
        np.testing.assert_allclose(store.read_self(image).maps[4, 4], maps.self_attention.maps[4, 4], atol=1e-3)
    facts = store.provenance
    assert facts["stage"] == "extract_attention"
    assert facts["model"]["digest"].startswith("sha256:")
    assert set(facts["inputs"]) == {"photos", "sentences", "tokens"}


def test_a_crash_between_shards_loses_none(
    layout: SplitLayout, loads: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory
):
    whole = content(extract(write_inputs(tmp_path_factory.mktemp("whole"), TOKENS)).path)
    compute = job.compute_shards

    def interrupted_at_the_second(*arguments):
        shards = compute(*arguments)
        yield next(shards)
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "compute_shards", interrupted_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        extract(layout)
    assert not layout.attention("paper").exists()
    monkeypatch.setattr(job, "compute_shards", compute)
    made = extract(layout)
    assert made.computed == 2
    assert content(made.path) == whole


def test_a_finished_store_is_published_again_without_a_model(layout: SplitLayout, loads: list[str]):
    first = extract(layout)
    before = content(first.path)
    shutil.rmtree(first.path)  # as DVC does before it runs a stage
    again = extract(layout)
    assert again.computed == 0
    assert content(again.path) == before
    assert len(loads) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"store": {**SECTION["store"], "chunk_tokens": 1}},
        {"row": {**PAPER, "schedule": {"kind": "single", "timesteps": [3]}}},
    ],
)
def test_other_parameters_continue_nothing(layout: SplitLayout, loads: list[str], changes: dict[str, Any]):
    extract(layout)
    assert extract(layout, **changes).computed == 3


def test_a_smaller_batch_goes_on(layout: SplitLayout, loads: list[str]):
    extract(layout)
    assert extract(layout, batch_sentences=1).computed == 0


def test_another_photo_has_its_own_shards_computed(layout: SplitLayout, loads: list[str]):
    extract(layout)
    write_split(layout.root, SENTENCES, TOKENS, IMAGE_OF, (9, 1))
    assert extract(layout).computed == 2  # the third is about the other photo alone


def test_a_damaged_shard_is_computed_again(layout: SplitLayout, loads: list[str]):
    made = extract(layout)
    before = content(made.path)
    file = made.path / "cross_8x8/c/1/0/0/0/0"
    damaged = bytearray(file.read_bytes())
    damaged[10] ^= 1
    file.write_bytes(damaged)  # the work folder's own file: they are one by a hard link
    again = extract(layout)
    assert again.computed == 1
    assert content(again.path) == before


def test_a_text_table_of_another_tokenizer_is_refused(layout: SplitLayout, loads: list[str]):
    write_tokens(layout, SENTENCES, [3, 1, 6, 2, 4])
    with pytest.raises(StoreMismatchError, match=r"expression 2 'left eye of the cat': expected 5 tokens .* got 6"):
        extract(layout)


def test_a_text_table_of_another_dataset_is_refused(layout: SplitLayout, loads: list[str]):
    write_text(layout.text, [], {})
    with pytest.raises(StoreMismatchError, match="expected 5 rows, one per expression, got 0"):
        extract(layout)


def test_finished_shards_need_no_photos(layout: SplitLayout, loads: list[str]):
    """So a colleague who pulled the artifacts needs no dataset to publish or to change what lies downstream."""
    extract(layout)
    (layout.root / "1.png").unlink()
    assert extract(layout).computed == 0


def test_a_write_that_fails_stops_the_run(layout: SplitLayout, loads: list[str], monkeypatch: pytest.MonkeyPatch):
    """Shard 1 of three cannot be written: that is said, shard 0 stays, and nothing is published."""
    write = AttentionWriter.write_shard

    def fail_at_the_second(writer, shard, maps, self_maps):
        if shard == 1:
            raise OSError(errno.ENOSPC, "No space left on device", "shard file")
        return write(writer, shard, maps, self_maps)

    monkeypatch.setattr(AttentionWriter, "write_shard", fail_at_the_second)
    with pytest.raises(StoreError, match=r"^shard file: cannot be written \(No space left on device\).*kept"):
        extract(layout)
    assert not layout.attention("paper").exists()
    monkeypatch.setattr(AttentionWriter, "write_shard", write)
    assert extract(layout).computed == 2


def test_a_photo_that_is_gone_when_it_is_needed(layout: SplitLayout, loads: list[str]):
    """Its shards are named with their images, the others are done."""
    (layout.root / "1.png").unlink()
    with pytest.raises(ShardsFailedError, match=r"shard 2 \(images b\): .*1\.png: image is not there") as caught:
        extract(layout)
    assert len(caught.value.entries) == 2
    assert not layout.attention("paper").exists()


def test_unknown_layers_are_refused_before_the_model_is_loaded(layout: SplitLayout, loads: list[str]):
    with pytest.raises(ParameterError, match="no layer 'attn9'"):
        extract(layout, {**PAPER, "cross_layers": ["attn9"]})
    assert loads == []


def run_stage(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.extract_attention", *arguments],
        cwd=root,
        env={"PATH": "", "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stage(layout: SplitLayout):
    shutil.copytree(MODEL, layout.root / "model")
    params = {
        "splits": {"tiny": {}},
        "captures": {"paper": PAPER},
        "extract_attention": {**SECTION, "model": "model"},
        "engine": ENGINE,
    }
    (layout.root / "params.yaml").write_text(yaml.safe_dump(whole_params(params)))
    made = run_stage(layout.root, "tiny", "paper")
    assert made.returncode == 0, made.stderr
    line = made.stdout.strip()
    assert line.startswith("artifacts/tiny/attention/paper.zarr: 16 maps of every token of 5 expressions, 2 photos;")
    assert line.endswith("3 shards, 3 of them computed now")
    store = AttentionStore.open(layout.attention("paper"), expressions=5)
    assert str(layout.root) not in json.dumps(store.provenance)

    params["captures"]["bad"] = {**PAPER, "cross_layers": {"map_px": [5]}}
    (layout.root / "params.yaml").write_text(yaml.safe_dump(whole_params(params)))
    refused = run_stage(layout.root, "tiny", "bad")
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1].startswith("error: captures.bad.cross_layers.map_px: the model")
    assert "Traceback" not in refused.stderr
