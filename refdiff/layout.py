"""Where every artifact of a split lies: the one place that names files."""

from dataclasses import dataclass
from pathlib import Path

ARTIFACTS = Path("artifacts")
REPORTS = Path("reports")
PAGE = Path("report.html")


@dataclass(frozen=True, slots=True)
class SplitLayout:
    """Paths of one split's artifacts, relative to the project's folder.

    Attributes:
        split: The split's name in params.yaml.
        root: The project's folder.
    """

    split: str
    root: Path = Path()

    @property
    def folder(self) -> Path:
        return self.root / ARTIFACTS / self.split

    @property
    def dataset(self) -> Path:
        """Folder of images.parquet, expressions.parquet, targets.parquet and dataset.json."""
        return self.folder / "dataset"

    @property
    def text(self) -> Path:
        return self.folder / "text.parquet"

    def attention(self, capture: str) -> Path:
        return self.folder / "attention" / f"{capture}.zarr"

    def proposals(self, source: str) -> Path:
        return self.folder / "proposals" / f"{source}.parquet"

    def clip(self, source: str) -> Path:
        return self.folder / "clip" / f"{source}.zarr"

    def overlap(self, source: str) -> Path:
        return self.folder / "overlap" / f"{source}.parquet"

    def pooled(self, source: str) -> Path:
        return self.folder / "pooled" / f"{source}.zarr"

    def predictions(self, method: str) -> Path:
        return self.folder / method / "predictions.parquet"

    def metrics(self, method: str) -> Path:
        return self.root / REPORTS / self.split / method / "metrics.json"

    def details(self, method: str) -> Path:
        return self.root / REPORTS / self.split / method / "details.json"

    def curves(self, method: str) -> Path:
        return self.root / REPORTS / self.split / method / "curves.json"
