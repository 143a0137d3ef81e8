"""Latents are computed once for all splits, captures and runs, and no store can be told from one made without them."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from refdiff.dataset.tables import read_dataset, write_dataset
from refdiff.diffusion import canvas, job
from refdiff.diffusion.extraction import Extracted, extract_split
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.latents import LatentRecipe
from refdiff.errors import ShardsFailedError, StoreError
from refdiff.layout import SplitLayout
from refdiff.source_code import StageCode
from refdiff.store.fingerprint import digest_facts, digest_file
from tests.diffusion.rows import PAPER, RELEASED, make_capture, make_section
from tests.diffusion.test_extraction import IMAGE_OF, PROJECT, SENTENCES, TOKENS, content, write_split

PHOTOS = 2
POOLS = ".work/pool/extract_attention"
FIRST = {**PAPER, "cross_layers": {"map_px": [8]}}
DRAWN = {**FIRST, "sample_posterior": True}
SMALL = {**PAPER, "canvas_px": 40, "cross_layers": {"map_px": [5]}}
LATER = {**FIRST, "schedule": {"kind": "single", "timesteps": [3, 9]}, "cross_layers": {"map_px": [4]}}

SPLIT = """
import sys
from pathlib import Path
from refdiff.diffusion.extraction import extract_split
from refdiff.layout import SplitLayout
from tests.diffusion.rows import make_capture, make_section
from tests.diffusion.test_latents import FIRST
layout = SplitLayout(sys.argv[1], Path(sys.argv[2]))
extract_split(layout, "paper", make_capture(FIRST), make_section(), lambda _done, _total: None)
"""
DIGEST = cache(StageCode.digest)
ALONE: dict[str, dict[str, bytes]] = {}


@pytest.fixture(autouse=True)
def _digest_code_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StageCode, "digest", DIGEST)


@pytest.fixture(autouse=True)
def encoded(extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each call of the autoencoder. The model is the session's, with the settings of the job."""
    encode, calls = extractor.model.vae.encode, list[str]()

    def count(*arguments: Any, **keywords: Any) -> Any:
        calls.append("encode")
        return encode(*arguments, **keywords)

    def give(settings: Any, _identity: object) -> AttentionExtractor:
        extractor.settings = settings
        return extractor

    monkeypatch.setattr(extractor, "settings", extractor.settings)  # put back at the end
    monkeypatch.setattr(extractor.model.vae, "encode", count)
    monkeypatch.setattr(job, "AttentionExtractor", give)
    return calls


@pytest.fixture
def layout(tmp_path: Path) -> SplitLayout:
    """Five sentences; photo a lies in the first two of three shards, photo b in the last two."""
    root = tmp_path / "project"
    written = write_split(root, ["the thing", "a red one", "dog"], [2, 3, 1], [0, 1, 1], (0, 1))
    written.dataset.parent.rename(root / "artifacts/other")
    return write_split(root, SENTENCES, TOKENS, IMAGE_OF, (0, 1))


@pytest.fixture
def other(layout: SplitLayout) -> SplitLayout:
    """Other sentences about the same photos."""
    return SplitLayout("other", layout.root)


def extract(layout: SplitLayout, row: dict[str, Any] = FIRST, name: str = "paper", **changes: Any) -> Extracted:
    return extract_split(layout, name, make_capture(row), make_section(**changes), lambda _done, _total: None)


def made_alone(layout: SplitLayout, row: dict[str, Any], **changes: Any) -> dict[str, bytes]:
    """The store of a project that keeps no latents."""
    photos = [digest_file(layout.root / f"{index}.png") for index in range(PHOTOS)]
    asked = digest_facts([layout.split, row, changes, photos])
    if asked not in ALONE:
        ignored = shutil.ignore_patterns(".work", "attention")
        root = Path(shutil.copytree(layout.root, layout.root.with_name(f"alone-{len(ALONE)}"), ignore=ignored))
        ALONE[asked] = content(extract(SplitLayout(layout.split, root), row, keep_latents=False, **changes).path)
        assert not (root / POOLS).exists()
    return ALONE[asked]


def pools(layout: SplitLayout) -> list[Path]:
    return sorted(path for path in (layout.root / POOLS).glob("latents-*") if path.is_dir())


@pytest.mark.parametrize("row", [FIRST, {**RELEASED, "cross_layers": {"map_px": [4]}}], ids=["mean", "drawn"])
def test_another_split_computes_none_and_its_store_is_the_same(
    layout: SplitLayout, other: SplitLayout, encoded: list[str], row: dict[str, Any]
) -> None:
    extract(layout, row)
    assert len(encoded) == PHOTOS, "each photo once, though its sentences lie in two shards"
    encoded.clear()
    made = extract(other, row)
    assert (made.computed, encoded) == (made.shards, [])
    assert content(made.path) == made_alone(other, row)


def test_another_capture_computes_none(layout: SplitLayout, encoded: list[str]) -> None:
    extract(layout)
    encoded.clear()
    made = extract(layout, LATER, "later")
    assert (made.computed, encoded) == (made.shards, [])
    assert content(made.path) == made_alone(layout, LATER)


def test_photos_whose_latents_are_found_are_not_decoded(layout: SplitLayout, monkeypatch: pytest.MonkeyPatch) -> None:
    extract(layout)
    decoded: list[str] = []
    monkeypatch.setattr(canvas, "decode_photo", lambda _content, where, _limit: decoded.append(where))
    assert extract(layout, LATER, "later").computed
    assert decoded == []


@pytest.mark.parametrize(
    ("before", "row", "changes"),
    [
        (FIRST, SMALL, {}),
        (FIRST, {**FIRST, "canvas_mode": "resize"}, {}),
        (FIRST, DRAWN, {}),
        (DRAWN, DRAWN, {"seed": 1}),
    ],
    ids=["canvas", "mode", "drawn", "seed of what is drawn"],
)
def test_what_decides_a_latent_is_told_apart(
    layout: SplitLayout, encoded: list[str], before: dict[str, Any], row: dict[str, Any], changes: dict[str, Any]
) -> None:
    extract(layout, before, "before")
    encoded.clear()
    made = extract(layout, row, "after", **changes)
    assert len(encoded) == PHOTOS
    assert len(pools(layout)) == 2
    assert content(made.path) == made_alone(layout, row, **changes)


def test_a_mean_has_no_seed(layout: SplitLayout, encoded: list[str]) -> None:
    extract(layout)
    encoded.clear()
    assert extract(layout, seed=1).computed
    assert encoded == []


def make_twins(layout: SplitLayout) -> None:
    """One file under two ids."""
    dataset = read_dataset(layout.dataset)
    sha256 = dataset.images.sha256[:1] * PHOTOS
    shutil.copy(layout.root / "0.png", layout.root / "1.png")
    write_dataset(layout.dataset, replace(dataset, images=replace(dataset.images, sha256=sha256)))


@pytest.mark.parametrize(("row", "computed"), [(FIRST, 1), (DRAWN, 2)], ids=["mean", "drawn"])
def test_one_photo_under_two_ids(layout: SplitLayout, encoded: list[str], row: dict[str, Any], computed: int) -> None:
    """The draw from the posterior is the id's; the mean is the photo's, found under any id by the next run."""
    make_twins(layout)
    extract(layout, row)
    assert len(list(layout.root.glob(f"{POOLS}/*/photos/*/*.arrow"))) == computed
    encoded.clear()
    made = extract(layout, {**row, "prompt_suffix": "."}, "later")
    assert encoded == []
    assert content(made.path) == made_alone(layout, {**row, "prompt_suffix": "."})


@pytest.mark.parametrize("damage", ["flip", "tear", "lose", "flip the marker"])
def test_what_is_damaged_is_computed_again(layout: SplitLayout, encoded: list[str], damage: str) -> None:
    extract(layout)
    data = sorted(layout.root.glob(f"{POOLS}/*/photos/*/*.arrow"))[0]
    file = next(data.parent.glob("*.json")) if "marker" in damage else data
    old = bytearray(file.read_bytes())
    if damage.startswith("flip"):
        old[len(old) // 2] ^= 1
        file.write_bytes(old)
    elif damage.startswith("tear"):
        file.write_bytes(old[:-9])
    else:
        file.unlink()
    encoded.clear()
    made = extract(layout, LATER, "later")
    assert len(encoded) == 1
    assert content(made.path) == made_alone(layout, LATER)
    encoded.clear()
    extract(layout, {**LATER, "guidance": 2.0}, "third")
    assert encoded == [], "the damaged one was written again"


def test_an_edited_photo_has_a_latent_of_its_own(layout: SplitLayout, encoded: list[str]) -> None:
    extract(layout)
    write_split(layout.root, SENTENCES, TOKENS, IMAGE_OF, (9, 1))
    encoded.clear()
    made = extract(layout)
    assert len(encoded) == 1
    assert content(made.path) == made_alone(layout, FIRST)


def test_a_photo_replaced_while_its_latent_is_there_is_noticed(layout: SplitLayout) -> None:
    extract(layout)
    shutil.copy(layout.root / "0.png", layout.root / "1.png")
    with pytest.raises(ShardsFailedError, match=r"1\.png: is not the file that prepare_dataset read"):
        extract(layout, LATER, "later")


def test_a_killed_run_leaves_its_latents(
    layout: SplitLayout, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = job.compute_shards

    def interrupted_at_the_second(*arguments: Any) -> Any:
        shards = compute(*arguments)
        yield next(shards)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job, "compute_shards", interrupted_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            extract(layout)
    encoded.clear()
    assert extract(layout).computed == 2
    assert len(encoded) == 1, "the other photo was in the first shard"


def test_without_keeping_nothing_is_kept_nor_looked_for(layout: SplitLayout, encoded: list[str]) -> None:
    extract(layout)
    encoded.clear()
    assert extract(layout, LATER, "later", keep_latents=False).computed
    assert len(encoded) == PHOTOS
    assert len(pools(layout)) == 1, "a capture that never used it does not drop it"
    encoded.clear()
    assert extract(layout, keep_latents=False).computed == 0, "the store is the same"
    assert encoded == []
    assert pools(layout) == []


def test_a_pool_stays_while_a_capture_uses_it(layout: SplitLayout) -> None:
    extract(layout, DRAWN, "one")
    extract(layout, {**DRAWN, "guidance": 2.0}, "two")
    extract(layout, SMALL, "small")
    assert len(pools(layout)) == 2, "two captures of one canvas share a pool"
    drawn = next(pool for pool in pools(layout) if (pool / "users/tiny-one.json").is_file())
    extract(layout, DRAWN, "one", seed=1)
    assert drawn in pools(layout)
    extract(layout, {**DRAWN, "guidance": 2.0}, "two", seed=1)
    assert drawn not in pools(layout)
    assert len(pools(layout)) == 2


@pytest.mark.slow
def test_two_splits_at_the_same_time_in_two_processes(layout: SplitLayout, other: SplitLayout) -> None:
    for _ in range(3):
        shutil.rmtree(layout.root / ".work", ignore_errors=True)
        arguments = [[sys.executable, "-c", SPLIT, split, str(layout.root)] for split in ("tiny", "other")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running = [subprocess.Popen(each, cwd=PROJECT, env=environment) for each in arguments]
        assert [process.wait(timeout=120) for process in running] == [0, 0]
        for each in (layout, other):
            assert content(each.attention("paper")) == made_alone(each, FIRST)
        assert len(list(layout.root.glob(f"{POOLS}/*/photos/*/*.arrow"))) == PHOTOS


@pytest.mark.parametrize("place", ["pool", "bucket", "lock"])
def test_a_pool_that_cannot_be_written_is_one_line(layout: SplitLayout, place: str) -> None:
    if place == "pool":
        folder = layout.root / ".work/pool"
        folder.parent.mkdir()
        folder.write_text("a file where a folder should be")
    else:
        extract(layout)
        bucket = next(layout.root.glob(f"{POOLS}/*/photos/*"))
        shutil.rmtree(bucket)
        if place == "bucket":
            bucket.write_text("a file where a folder should be")
        else:
            (bucket / "lock").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot be written .*run the same command again") as caught:
        extract(layout, LATER, "later")
    assert "\n" not in str(caught.value)


RECIPE = LatentRecipe("sha256:0", "cpu", 64, "letterbox", None)


@pytest.mark.parametrize(
    "change", [{"model": "sha256:1"}, {"device": "cuda"}, {"canvas_px": 40}, {"canvas_mode": "resize"}, {"seed": 0}]
)
def test_each_part_of_a_recipe_names_another_pool(change: dict[str, Any]) -> None:
    recipe = replace(RECIPE, **change)
    assert recipe.pool(Path(), "stage").path != RECIPE.pool(Path(), "stage").path
