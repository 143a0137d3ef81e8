"""A whole store: what is in it, how it is continued, and what is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from PIL import Image

import refdiff.clip.job as module
from refdiff.clip.embed_split import embed_split
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.settings import ClipSettings
from refdiff.clip.store import ClipStore
from refdiff.clip.store_writer import create_array, list_files, write_array, write_rows
from refdiff.errors import (
    ArtifactMissingError,
    ShardCorruptError,
    ShardsFailedError,
    StoreMismatchError,
)
from refdiff.layout import SplitLayout
from refdiff.proposals.candidates import of_masks
from refdiff.proposals.tables import write_proposals
from refdiff.text.tables import read_text, write_text
from tests.clip.small_model import clip_settings
from tests.clip.small_split import ROWS, SIZES, SOURCE, make_split, masks_of, photo_of

SAME = {"rtol": 0, "atol": 2e-6}


def _quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


@pytest.fixture(scope="module")
def settings(small_clip: Path) -> ClipSettings:
    return clip_settings(small_clip)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, settings: ClipSettings) -> SplitLayout:
    """A split whose store is complete; tests that change it take a copy."""
    layout = make_split(tmp_path_factory.mktemp("split") / "project")
    embed_split(layout, SOURCE, settings, _quiet)
    return layout


@pytest.fixture
def copied(made: SplitLayout, tmp_path: Path) -> SplitLayout:
    shutil.copytree(made.root, tmp_path / "copy")
    return SplitLayout(made.split, tmp_path / "copy")


def test_views_are_those_of_the_photo_in_memory(made: SplitLayout, settings: ClipSettings) -> None:
    store, embedder = ClipStore.open(made.clip(SOURCE)), ClipEmbedder(settings)
    local = [["none", "released_left"], ["none", "released_right"], ["none"]]
    whole = [["none", "paper_left", "paper_top"], ["none", "paper_right"], ["none"]]
    for image in range(len(SIZES)):
        views = embedder.embed_photo(photo_of(image), masks_of(image), local[image], whole[image])
        for variant in local[image]:
            np.testing.assert_allclose(store.local(image, variant), views.local[variant], **SAME)
        for variant in whole[image]:
            np.testing.assert_allclose(store.global_view(image, variant), views.global_view[variant], **SAME)


def test_texts_are_those_of_each_expression(made: SplitLayout, settings: ClipSettings) -> None:
    store, embedder = ClipStore.open(made.clip(SOURCE)), ClipEmbedder(settings)
    for index, (sentence, _, root, subject, _, _) in enumerate(ROWS):
        expected = embedder.embed_texts([sentence, root, subject])
        found = [store.sentence(index), store.head(index, "root"), store.head(index, "root_or_subject")]
        np.testing.assert_allclose(np.stack(found), expected, **SAME)


def test_each_distinct_text_and_each_occurring_variant_is_there_once(made: SplitLayout) -> None:
    store = ClipStore.open(made.clip(SOURCE))
    assert zarr.open_array(made.clip(SOURCE) / "text", mode="r").shape == (7, 24)
    assert store.local_rows.variants == ("none", "released_left", "released_right")
    assert store.global_rows.variants == ("none", "paper_left", "paper_right", "paper_top")
    assert store.local_rows.total == 5 * 2 + 7 * 2
    assert store.global_rows.total == 5 * 3 + 7 * 2


def test_what_was_not_embedded_is_refused_by_name(made: SplitLayout) -> None:
    store = ClipStore.open(made.clip(SOURCE))
    with pytest.raises(StoreMismatchError, match="photo 1: position variant 'released_left' is not stored"):
        store.local(1, "released_left")
    with pytest.raises(StoreMismatchError, match="has 5 expressions, asked for number 5"):
        store.sentence(5)


def test_provenance_names_model_parameters_inputs_and_digests(made: SplitLayout) -> None:
    attributes = ClipStore.open(made.clip(SOURCE)).attributes
    assert attributes["stage"] == "embed_clip"
    assert attributes["model"]["digest"].startswith("sha256:")
    assert attributes["parameters"]["crop_max_aspect"] == 8.0
    assert set(attributes["inputs"]) == {"photos", "masks", "texts", "rows"}
    assert {"refdiff", "torch", "open_clip_torch"} <= set(attributes["versions"])
    files = {path.relative_to(made.clip(SOURCE)).as_posix() for path in made.clip(SOURCE).rglob("*") if path.is_file()}
    assert files == {*attributes["files"], "zarr.json"}


def test_zarr_opens_it_as_a_plain_group(made: SplitLayout) -> None:
    group = zarr.open_group(made.clip(SOURCE), mode="r")
    lengths = np.linalg.norm(np.asarray(group["local"][:]), axis=1)  # pyright: ignore[reportArgumentType, reportIndexIssue]
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_a_complete_store_is_published_again_without_the_model(
    copied: SplitLayout, settings: ClipSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (copied.clip(SOURCE) / "zarr.json").read_bytes()
    shutil.rmtree(copied.clip(SOURCE))
    monkeypatch.setattr(module, "ClipEmbedder", None)
    again = embed_split(copied, SOURCE, settings, _quiet)
    assert (again.photos, again.computed) == (3, 0)
    assert (copied.clip(SOURCE) / "zarr.json").read_bytes() == before


def test_an_interrupted_run_is_continued_to_the_same_bytes(
    tmp_path: Path, made: SplitLayout, settings: ClipSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = make_split(tmp_path / "project")
    original = ClipEmbedder.embed_global

    def fail(self: ClipEmbedder, photo: NDArray[np.uint8], *arguments: Any) -> Any:
        if photo.shape[:2] == SIZES[1]:
            raise KeyboardInterrupt
        return original(self, photo, *arguments)

    monkeypatch.setattr(ClipEmbedder, "embed_global", fail)
    with pytest.raises(KeyboardInterrupt):
        embed_split(layout, SOURCE, settings, _quiet)
    assert not layout.clip(SOURCE).exists()
    monkeypatch.setattr(ClipEmbedder, "embed_global", original)
    result = embed_split(layout, SOURCE, settings, _quiet)
    assert (result.photos, result.computed) == (3, 1)
    assert (layout.clip(SOURCE) / "zarr.json").read_bytes() == (made.clip(SOURCE) / "zarr.json").read_bytes()


@pytest.mark.parametrize(
    ("file", "computed"), [("embed_clip/*/content/local/c/0/0", 0), ("pool/embed_clip/*/photos/*/*.arrow", 1)]
)
def test_damaged_files_of_the_work_folder_are_made_again(
    copied: SplitLayout, settings: ClipSettings, file: str, computed: int
) -> None:
    unit = next((copied.root / ".work").glob("embed_clip/*/content/local/c/0/0"))
    content, before = unit.read_bytes(), (copied.clip(SOURCE) / "zarr.json").read_bytes()
    damaged = next((copied.root / ".work").glob(file))
    half = damaged.read_bytes()[:-1]
    for path in {damaged, unit}:
        path.unlink()
    damaged.write_bytes(half)
    assert embed_split(copied, SOURCE, settings, _quiet).computed == computed
    assert unit.read_bytes() == content
    assert (copied.clip(SOURCE) / "zarr.json").read_bytes() == before


@pytest.mark.parametrize("changes", [{"crop_max_aspect": 2.0}, {"global_fit": "resize"}])
def test_other_parameters_do_not_continue_old_work(
    copied: SplitLayout, settings: ClipSettings, changes: dict[str, Any]
) -> None:
    assert embed_split(copied, SOURCE, settings.model_copy(update=changes), _quiet).computed == 2


def test_another_ramp_adds_what_it_needs(
    copied: SplitLayout, settings: ClipSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []
    original = ClipEmbedder.embed_local

    def note(self: ClipEmbedder, photo: Any, masks: Any, variant: str) -> Any:
        embedded.append(variant)
        return original(self, photo, masks, variant)

    monkeypatch.setattr(ClipEmbedder, "embed_local", note)
    embed_split(copied, SOURCE, settings.model_copy(update={"local_ramps": ("none", "released", "paper")}), _quiet)
    assert embedded == ["paper_left", "paper_top", "paper_right"]
    embed_split(copied, SOURCE, settings.model_copy(update={"local_ramps": ("none",)}), _quiet)
    assert len(embedded) == 3
    assert ClipStore.open(copied.clip(SOURCE)).local_rows.variants == ("none",)


def test_another_batch_continues_old_work(copied: SplitLayout, settings: ClipSettings) -> None:
    assert embed_split(copied, SOURCE, settings.model_copy(update={"batch_tokens": 7}), _quiet).computed == 0


@pytest.mark.parametrize("rows_per_file", [1, 3, 1000])
def test_files_of_any_length_hold_the_same(
    copied: SplitLayout, made: SplitLayout, settings: ClipSettings, rows_per_file: int
) -> None:
    embed_split(copied, SOURCE, settings.model_copy(update={"rows_per_file": rows_per_file}), _quiet)
    first, second = ClipStore.open(made.clip(SOURCE)), ClipStore.open(copied.clip(SOURCE))
    for image, variant in [(0, "none"), (0, "paper_top"), (1, "paper_right"), (2, "none")]:
        np.testing.assert_allclose(first.global_view(image, variant), second.global_view(image, variant), **SAME)
    np.testing.assert_allclose(first.local(1, "released_right"), second.local(1, "released_right"), **SAME)


def test_a_split_without_any_proposals(copied: SplitLayout, settings: ClipSettings) -> None:
    empty = [of_masks(np.zeros((0, *size), dtype=np.bool_)) for size in SIZES]
    write_proposals(copied.proposals(SOURCE), empty, range(len(SIZES)), None, {})
    embed_split(copied, SOURCE, settings, _quiet)
    store = ClipStore.open(copied.clip(SOURCE))
    assert store.local(0, "none").shape == store.global_view(0, "paper_left").shape == (0, 24)


def test_another_split_with_the_same_photos_computes_no_view(
    copied: SplitLayout, settings: ClipSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = SplitLayout("twin", copied.root)
    shutil.copytree(copied.folder, twin.folder)
    shutil.rmtree(twin.clip(SOURCE))
    for name in ("embed_local", "embed_global"):
        monkeypatch.setattr(ClipEmbedder, name, None)
    assert embed_split(twin, SOURCE, settings, _quiet).computed == 0
    assert (twin.clip(SOURCE) / "zarr.json").read_bytes() == (copied.clip(SOURCE) / "zarr.json").read_bytes()


def test_other_masks_of_a_photo_are_embedded(copied: SplitLayout, settings: ClipSettings) -> None:
    masks = [masks_of(image) for image in range(3)]
    masks[1] = masks[1][::-1]
    write_proposals(copied.proposals("turned"), [of_masks(part) for part in masks], range(3), None, {})
    assert embed_split(copied, "turned", settings, _quiet).computed == 1
    first, second = (ClipStore.open(copied.clip(name)).local(1, "none") for name in (SOURCE, "turned"))
    np.testing.assert_allclose(second, first[::-1], **SAME)


KILLED = """
import sys, time
from pathlib import Path
import torch
from refdiff.clip.embed_split import embed_split
from refdiff.clip.embedder import ClipEmbedder
from refdiff.layout import SplitLayout
from tests.clip.small_model import clip_settings
torch.set_num_threads(1)
original = ClipEmbedder.embed_global
def stick(self, photo, *arguments):
    if photo.shape[:2] == (64, 33):
        print("stuck", flush=True)
        time.sleep(120)
    return original(self, photo, *arguments)
ClipEmbedder.embed_global = stick
embed_split(SplitLayout("toy", Path(sys.argv[1])), "boxes", clip_settings(Path(sys.argv[2])), lambda *_: None)
"""


def test_a_killed_run_goes_on_to_the_same_bytes(
    tmp_path: Path, made: SplitLayout, small_clip: Path, settings: ClipSettings
) -> None:
    layout = make_split(tmp_path / "project")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(layout.root), str(small_clip)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        process.kill()
    assert not layout.clip(SOURCE).exists()
    assert embed_split(layout, SOURCE, settings, _quiet).computed == 1
    assert (layout.clip(SOURCE) / "zarr.json").read_bytes() == (made.clip(SOURCE) / "zarr.json").read_bytes()


def test_a_file_of_zeros_is_written_like_any_other(tmp_path: Path) -> None:
    create_array(tmp_path / "local", (8, 3), 4, "float32")
    write_rows(tmp_path / "local", 4, np.zeros((4, 3), dtype=np.float32))
    write_array(tmp_path / "proposals", np.zeros(3, dtype=np.int64))
    assert list_files(tmp_path, "local") == ["local/c/1/0", "local/zarr.json"]
    assert list_files(tmp_path, "proposals") == ["proposals/c/0", "proposals/zarr.json"]


def test_a_photo_that_was_exchanged_is_refused(copied: SplitLayout, settings: ClipSettings) -> None:
    shutil.rmtree(copied.root / ".work")  # what was computed before needs no photo
    Image.fromarray(photo_of(0)[:-1]).save(copied.root / "photos" / "1.png")
    with pytest.raises(ShardsFailedError, match=r"images 101\): photo 101 \(photos/1.png\): is not the file that prep"):
        embed_split(copied, SOURCE, settings, _quiet)


def test_an_empty_mask_names_its_photo(copied: SplitLayout, settings: ClipSettings) -> None:
    masks = [masks_of(image) for image in range(3)]
    masks[1][2] = False
    write_proposals(copied.proposals(SOURCE), [of_masks(part) for part in masks], range(3), None, {})
    with pytest.raises(ShardsFailedError, match=r"images 101\): photo 101: of its proposals, mask 2: is empty"):
        embed_split(copied, SOURCE, settings, _quiet)


def test_tables_of_different_datasets_are_refused(copied: SplitLayout, settings: ClipSettings) -> None:
    assert len(read_text(copied.text)) == len(ROWS)
    write_text(copied.text, [], {})
    with pytest.raises(StoreMismatchError, match="text: has 0 rows, the dataset has 5 expressions"):
        embed_split(copied, SOURCE, settings, _quiet)


def test_masks_of_expressions_are_refused(copied: SplitLayout, settings: ClipSettings) -> None:
    write_proposals(copied.proposals(SOURCE), [of_masks(masks_of(0))], [0], [0], {})
    with pytest.raises(StoreMismatchError, match="their masks belong to expressions"):
        embed_split(copied, SOURCE, settings, _quiet)


def test_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError, match=r"none.zarr: not there; run `dvc repro`"):
        ClipStore.open(tmp_path / "none.zarr")


def test_another_zarr_store_is_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "other.zarr", attributes={"artifact": "maps", "files": {}})
    with pytest.raises(StoreMismatchError, match=r"other.zarr/zarr.json: .*attributes.artifact: Input should be 'clip"):
        ClipStore.open(tmp_path / "other.zarr")
    zarr.create_group(tmp_path / "third.zarr")
    with pytest.raises(StoreMismatchError, match=r"third.zarr/zarr.json: is no metadata of a store of refdiff"):
        ClipStore.open(tmp_path / "third.zarr")


def test_a_missing_file_is_found_when_the_store_is_opened(copied: SplitLayout) -> None:
    (copied.clip(SOURCE) / "global" / "c" / "1" / "0").unlink()
    with pytest.raises(ShardCorruptError, match=r"global/c/1/0: missing or not \d+ bytes long"):
        ClipStore.open(copied.clip(SOURCE))


def test_a_flipped_byte_is_found_when_it_is_read(copied: SplitLayout) -> None:
    file = copied.clip(SOURCE) / "local" / "c" / "0" / "0"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.unlink()
    file.write_bytes(content)
    store = ClipStore.open(copied.clip(SOURCE))
    with pytest.raises(ShardCorruptError, match="local/c/0/0: shard is damaged"):
        store.local(0, "none")


def test_the_root_is_readable_json(made: SplitLayout) -> None:
    root = json.loads((made.clip(SOURCE) / "zarr.json").read_text())
    assert root["node_type"] == "group"
