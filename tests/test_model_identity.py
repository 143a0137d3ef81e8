"""Which model: folders by content, hub models by commit, nothing downloaded."""

from pathlib import Path

import pytest

from refdiff.errors import ModelError
from refdiff.model_identity import fetch_command, identify_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds owner/name at one commit."""
    cached = tmp_path / "models--owner--name"
    snapshot = cached / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return snapshot


def test_a_folder_is_its_content(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"1")
    first = identify_model(str(tmp_path), None, ())
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "log").write_text("hidden files do not count")
    assert identify_model(str(tmp_path), None, ()).digest == first.digest
    (tmp_path / "a" / "weights").rename(tmp_path / "a" / "other")
    assert identify_model(str(tmp_path), None, ()).digest != first.digest
    assert first.describe() == {"name": str(tmp_path), "digest": first.digest}


def test_a_hub_model_is_its_commit(hub: Path):
    found = identify_model("owner/name", None, ("*.json",))
    assert (found.folder, found.digest) == (hub, f"commit:{COMMIT}")
    assert identify_model("owner/name", COMMIT, ("*.json",)).folder == hub


@pytest.mark.parametrize(("name", "revision"), [("owner/other", None), ("owner/name", "v2")])
def test_what_was_not_fetched_names_the_command(hub: Path, name: str, revision: str | None):
    with pytest.raises(ModelError, match=f"fetch it with `{fetch_command(name, revision, ('a', 'b/*'))[:20]}"):
        identify_model(name, revision, ("a", "b/*"))


def test_fetch_command_is_quoted_for_a_shell():
    assert fetch_command("o/n", "v1", ("a", "*/b")) == "hf download o/n --revision v1 --include a --include '*/b'"


@pytest.mark.parametrize("name", ["models/sd/demo", "/no/such/folder", "../sd", "a b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(name: str):
    with pytest.raises(ModelError, match="no such folder"):
        identify_model(name, None, ())
