"""The datasets of params.yaml: their files, their counts against the published ones, and their photos."""

import shlex
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from refdiff.checking.sections import Project
from refdiff.dataset.benchmarks import Benchmark, find_benchmark
from refdiff.dataset.faults import FaultLog
from refdiff.dataset.folders import check_photo_folder
from refdiff.dataset.prepare import READERS
from refdiff.dataset.records import DatasetRecords
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.demo.settings import DrawSettings
from refdiff.doctor.findings import Finding, Section
from refdiff.errors import DatasetError, RefdiffError
from refdiff.paths import expand

_ARCHIVE = "https://web.archive.org/web/{stamp}/https://bvisionweb1.cs.unc.edu/licheng/referit/data/{name}.zip"
_STAMPS = {"refcoco": "20220413011718", "refcoco+": "20220413011656", "refcocog": "20220413012904"}
_PHOTOS = "http://images.cocodataset.org/zips/train2014.zip"
_PHOTOS_BYTES = 13.5e9
_GREFCOCO = "https://github.com/henghuiding/gRefCOCO"
_DRAWN_TOKENS = 7


@dataclass(frozen=True, slots=True)
class SplitSize:
    """How much work a split is.

    Attributes:
        photos: Photos.
        sentences: Sentences.
        tokens: Tokens of a sentence, about.
        counted: Whether it was counted here, or is what the benchmark's papers say.
    """

    photos: int
    sentences: int
    tokens: float
    counted: bool


ONE_PHOTO = {"one photo, all methods": SplitSize(1, 1, 4, counted=True)}
"""What `refdiff segment` is asked for."""


def check_datasets(project: Project) -> tuple[Section, dict[str, SplitSize]]:
    """Every split; and the sizes of those that are here or published."""
    findings: list[Finding] = []
    sizes: dict[str, SplitSize] = {}
    drawn: DrawSettings | None = project.sections.get("draw_scenes")
    settings: PrepareDatasetSettings | None = project.sections.get("prepare_dataset")
    if settings is None:
        return Section("datasets", (Finding("note", "not looked at while prepare_dataset does not fit"),)), sizes
    for name, row in project.rows["splits"].items():
        if drawn is not None and row.folder == drawn.folder and not expand(row.folder).exists():
            findings.append(Finding("ok", f"{name}: `dvc repro` draws it"))
            sizes[name] = SplitSize(drawn.images, drawn.images * drawn.sentences_per_image, _DRAWN_TOKENS, False)
            continue
        found, size = _check_split(name, row, settings)
        findings += found
        if size is not None:
            sizes[name] = size
    # Splits of one folder lack the same files: said once.
    return Section("datasets", tuple(dict.fromkeys(findings))), sizes


def _check_split(name: str, row: SplitRow, settings: PrepareDatasetSettings) -> tuple[list[Finding], SplitSize | None]:
    benchmark = None if row.benchmark is None else find_benchmark(row.benchmark)
    faults = FaultLog()
    try:
        records = READERS[row.format](row, settings, faults)
    except RefdiffError as error:
        source = f"; {_GREFCOCO} has them" if row.format == "grefcoco" else ""
        findings = [Finding("MISSING", f"{error}{source}", _fetch_annotations(row, benchmark))]
        if not expand(row.images).is_dir():
            findings.append(_lack_photos(f"{row.images}: no such folder; expected the photos", row, benchmark))
        return findings, _published_size(benchmark)
    words = [len(sentence.split()) for ref in records.refs for _, sentence in ref.sentences]
    photos = {ref.image_id for ref in records.refs}
    size = SplitSize(len(photos), records.expressions, sum(words) / max(len(words), 1), counted=True)
    findings = [_compare(name, records, size, benchmark)]
    if faults.faults:
        text = f"{name}: {len(faults.faults)} faults, the first: {faults.lines()[0]}; `dvc repro` names all"
        findings.append(Finding("MISSING" if settings.on_fault == "refuse" else "note", text))
    findings.append(_check_photos(name, row, records, benchmark))
    return findings, size


def _compare(name: str, records: DatasetRecords, size: SplitSize, benchmark: Benchmark | None) -> Finding:
    """The counts, beside the published ones."""
    here = {"photos": size.photos, "objects": len(records.refs), "sentences": size.sentences}
    text = f"{name}: {', '.join(f'{count:,} {what}' for what, count in here.items())}"
    if benchmark is None:
        return Finding("ok", text)
    published = {"photos": benchmark.images, "objects": benchmark.objects, "sentences": benchmark.sentences}
    other = {what: count for what, count in published.items() if count is not None and count != here[what]}
    if not other:
        return Finding("ok", f"{text}, as {benchmark.name} has")
    expected = ", ".join(f"{count:,} {what}" for what, count in other.items())
    return Finding("note", f"{text}; {benchmark.name} has {expected}: figures are not comparable with published ones")


def _check_photos(name: str, row: SplitRow, records: DatasetRecords, benchmark: Benchmark | None) -> Finding:
    """Which photos are not there, found by listing folders: none is opened."""
    try:
        check_photo_folder(expand(row.images), records.photos.values(), f"splits.{name}.images")
    except DatasetError as error:
        return _lack_photos(str(error), row, benchmark)
    folders: defaultdict[Path, list[str]] = defaultdict(list)
    for photo in records.photos.values():
        folders[photo.path.parent].append(photo.path.name)
    absent = [folder / file for folder, files in folders.items() for file in sorted({*files} - _list(folder))]
    if not absent:
        return Finding("ok", f"{name}: all photos are in {row.images}")
    text = f"{name}: {len(absent):,} of {len(records.photos):,} photos are not there, such as {absent[0]}"
    return _lack_photos(text, row, benchmark)


def _list(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()


def _lack_photos(text: str, row: SplitRow, benchmark: Benchmark | None) -> Finding:
    if benchmark is None:
        return Finding("MISSING", text)
    command = f"curl -LO {_PHOTOS} && unzip -q train2014.zip -d {shlex.quote(str(expand(row.images).parent))}"
    return Finding("MISSING", text, (command,), _PHOTOS_BYTES)


def _published_size(benchmark: Benchmark | None) -> SplitSize | None:
    if benchmark is None or benchmark.sentences is None:
        return None
    return SplitSize(benchmark.images, benchmark.sentences, 9 if benchmark.dataset == "refcocog" else 4, counted=False)


def _fetch_annotations(row: SplitRow, benchmark: Benchmark | None) -> tuple[str, ...]:
    """Commands that fetch what the folder's name says, where its source is known."""
    folder = expand(row.folder)
    name, parent = folder.name, folder.parent
    if row.format == "refer" and benchmark is not None and name in _STAMPS:
        address = _ARCHIVE.format(stamp=_STAMPS[name], name=name)
        return (f"curl -Lo {name}.zip '{address}' && unzip -q {name}.zip -d {shlex.quote(str(parent))}",)
    return ()
