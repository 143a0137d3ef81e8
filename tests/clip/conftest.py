"""Models that several tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from refdiff.clip.embedder import ClipEmbedder
from tests.clip.small_model import clip_settings, write_small_clip


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small random model: image size 32, patches of 8."""
    return write_small_clip(tmp_path_factory.mktemp("clip") / "small")


@pytest.fixture(scope="session")
def small_embedder(small_clip: Path) -> ClipEmbedder:
    return ClipEmbedder(clip_settings(small_clip))


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Small models are slower on several threads, and far slower where the processor is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
