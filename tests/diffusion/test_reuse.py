"""After an edit of photos or sentences: only their shards are computed, and the store is that of a fresh run."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from refdiff.diffusion import job
from refdiff.diffusion.extraction import Extracted, extract_split
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.engine.settings import SERIAL, Engine, EngineSettings, Part
from refdiff.errors import ShardsFailedError
from refdiff.layout import SplitLayout
from refdiff.store.console import repair_and_print
from tests.diffusion.rows import PAPER, SECTION, make_capture, make_photo, make_section
from tests.diffusion.test_extraction import SELF_LAYER, content, write_split

ROW = {**PAPER, "self_layers": [SELF_LAYER]}
# Shards of two sentences: photo 0 lies in shards 0 and 1, photo 1 in 1 and 2, photo 2 in shard 3.
SENTENCES = ["the red cat", "dog", "left eye of cat", "a cup", "spoon on the right", "a bird", "big tree", "house"]
TOKENS = [3, 1, 4, 2, 4, 2, 2, 1]
IMAGE_OF = [0, 0, 0, 1, 1, 1, 2, 2]
SHARDS = 4

Split = tuple[list[str], list[int], list[int]]


def write(root: Path, split: Split = (SENTENCES, TOKENS, IMAGE_OF), seeds: tuple[int, ...] = (0, 1, 2)) -> SplitLayout:
    sentences, tokens, image_of = split
    return write_split(root, sentences, tokens, image_of, seeds)


def extract(layout: SplitLayout, engine: Engine = SERIAL, **changes: Any) -> Extracted:
    return extract_split(
        layout, "paper", make_capture(ROW), make_section(**changes), lambda _done, _total: None, engine
    )


@pytest.fixture(autouse=True)
def one_model(extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is the session's; a worker loads everything else again."""
    monkeypatch.setattr(job, "AttentionExtractor", lambda *_: extractor)


@pytest.fixture
def layout(tmp_path: Path) -> SplitLayout:
    layout = write(tmp_path / "edited")
    assert extract(layout).computed == SHARDS
    return layout


def with_sentence(index: int, sentence: str, tokens: int) -> Split:
    return (
        [*SENTENCES[:index], sentence, *SENTENCES[index + 1 :]],
        [*TOKENS[:index], tokens, *TOKENS[index + 1 :]],
        IMAGE_OF,
    )


def with_more(sentence: str, tokens: int, image: int) -> Split:
    return [*SENTENCES, sentence], [*TOKENS, tokens], [*IMAGE_OF, image]


EDITS: dict[str, tuple[dict[str, Any], int]] = {
    "a photo in two shards": ({"seeds": (0, 9, 2)}, 2),
    "a photo in one shard": ({"seeds": (0, 1, 9)}, 1),
    "a sentence": ({"split": with_sentence(4, "spoon on the left", 4)}, 1),
    "a sentence at the end": ({"split": with_more("green door", 2, 2)}, 1),
    "one sentence less": ({"split": (SENTENCES[:-2], TOKENS[:-2], IMAGE_OF[:-2]), "seeds": (0, 1)}, 0),
    "a longer sentence": ({"split": with_sentence(4, "spoon on the right side of it", 7)}, SHARDS),
    "a sentence of another photo": ({"split": (SENTENCES, TOKENS, [0, 0, 1, 1, 1, 1, 2, 2])}, 1),
    "nothing": ({}, 0),
}


@pytest.mark.parametrize("edit", EDITS)
def test_only_what_changed_is_computed_and_the_store_is_that_of_a_fresh_run(
    layout: SplitLayout, tmp_path: Path, edit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, computed = EDITS[edit]
    capsys.readouterr()
    made = extract(write(layout.root, **changes))
    assert made.computed == computed
    said = capsys.readouterr().err
    assert f"{made.shards - computed} of {made.shards} shards taken over from an earlier run" in said
    fresh = extract(write(tmp_path / "fresh", **changes))
    assert content(made.path) == content(fresh.path)
    # What no shard has any more is not kept either.
    kept, needed = (
        content(next(folder.root.glob(".work/extract_attention/*/content")))
        for folder in (layout, SplitLayout("tiny", tmp_path / "fresh"))
    )
    assert kept.keys() == needed.keys()


def test_one_token_more_within_the_padding_keeps_the_other_shards(layout: SplitLayout, tmp_path: Path) -> None:
    """Five tokens are padded to six by chunks of two."""
    five = with_sentence(4, "spoon on the right side", 5)
    first = write(tmp_path / "five", five)
    extract(first)
    six = with_sentence(4, "spoon on the right side there", 6)
    made = extract(write(first.root, six))
    assert made.computed == 1
    assert content(made.path) == content(extract(write(tmp_path / "six", six)).path)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"store": {**SECTION["store"], "compression_level": 2}}])
def test_other_parameters_take_nothing_over(layout: SplitLayout, changes: dict[str, Any]) -> None:
    assert extract(layout, **changes).computed == SHARDS
    assert len(list(layout.root.glob(".work/extract_attention/*/content"))) == 1, "what the older folder held is gone"


def test_a_killed_run_serves_after_an_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute, layout = job.compute_shards, write(tmp_path)

    def interrupted_at_the_third(*arguments: Any) -> Any:
        shards = compute(*arguments)
        yield next(shards)
        yield next(shards)
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "compute_shards", interrupted_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        extract(layout)
    monkeypatch.setattr(job, "compute_shards", compute)
    assert extract(write(tmp_path, seeds=(0, 9, 2))).computed == 3  # shard 0 is whole


@pytest.mark.parametrize("damage", ["file", "inputs"])
def test_a_damaged_shard_is_never_taken_over(layout: SplitLayout, tmp_path: Path, damage: str) -> None:
    work = next(layout.root.glob(".work/extract_attention/*"))
    if damage == "file":
        file = work / "content/cross_8x8/c/0/0/0/0/0"
        data = bytearray(file.read_bytes())
        data[10] ^= 1
        file.write_bytes(data)
    else:
        marker = work / "done/000000.json"
        marker.write_text(marker.read_text().replace('"inputs"', '"others"'))
    made = extract(write(layout.root, seeds=(0, 1, 9)))
    assert made.computed == 2
    assert content(made.path) == content(extract(write(tmp_path / "fresh", seeds=(0, 1, 9))).path)


def test_whole_shards_of_a_published_store_count_after_a_repair(layout: SplitLayout) -> None:
    """Without the work folder, `repair` makes one of what is whole; its records keep the digests of the inputs."""
    (layout.root / "dvc.yaml").write_text("")
    store, before = layout.attention("paper"), content(layout.attention("paper"))
    shutil.rmtree(layout.root / ".work")
    (store / "cross_8x8/c/3/0/0/0/0").unlink()
    repair_and_print(str(store))
    made = extract(layout)
    assert made.computed == 1
    assert content(made.path) == before


def test_a_photo_replaced_since_the_dataset_was_prepared_is_refused(tmp_path: Path) -> None:
    layout = write(tmp_path)
    Image.fromarray(make_photo(9, 40, 20)).save(tmp_path / "1.png")
    with pytest.raises(ShardsFailedError, match=r"shard 1 \(images a, b\): .*1\.png: is not the file that prepare_da"):
        extract(layout)
    assert not layout.attention("paper").exists()
    assert extract(write(tmp_path, seeds=(0, 9, 2))).computed == 2, "those of the other photos are done"


def test_parts_read_the_photos_of_their_own_shards_only(tmp_path: Path) -> None:
    layout = write(tmp_path)
    (tmp_path / "2.png").rename(tmp_path / "away")
    parts = [
        Engine(EngineSettings(kind="serial", workers=1, address=None, accelerators=(), attempts=1), Part(index, 4))
        for index in (1, 2, 3)
    ]
    assert [extract(layout, part).computed for part in parts] == [1, 1, 1]
    (tmp_path / "away").rename(tmp_path / "2.png")
    assert extract(layout).computed == 1
    write(tmp_path, seeds=(9, 1, 2))
    assert [extract(layout, part).computed for part in parts] == [1, 1, 0]
