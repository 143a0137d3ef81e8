"""The miniature model, loaded once."""

from collections.abc import Iterator

import pytest
import torch

from refdiff.diffusion.extractor import AttentionExtractor
from tests.diffusion.rows import make_section


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors of a few kilobytes: more threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def extractor() -> AttentionExtractor:
    return AttentionExtractor(make_section())
