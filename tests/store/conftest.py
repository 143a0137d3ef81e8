"""A store made once, to be copied by tests that damage it."""

import shutil
from pathlib import Path

import pytest

from tests.store.toy_embeddings import make_embeddings
from tests.store.toy_stage import PARAMS, STORE, make_store


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with a published store and its work folder."""
    root = tmp_path_factory.mktemp("toy")
    make_store(root, {**PARAMS, "with_self": True})
    return root


@pytest.fixture
def published(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the published store."""
    return Path(shutil.copytree(pristine / STORE, tmp_path / STORE))


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    """A store of embeddings: three photos with two, three and no proposals, two files of views."""
    return make_embeddings(tmp_path)


@pytest.fixture
def in_work(pristine: Path, tmp_path: Path) -> Path:
    """A copy of its work folder."""
    (source,) = (pristine / ".work/extract_attention").iterdir()
    return Path(shutil.copytree(source, tmp_path / ".work/extract_attention" / source.name))
