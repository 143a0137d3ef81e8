"""The files of a model that are read: found, named, and known by their headers; nothing is loaded (no torch here)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.errors import ModelError, ModelMissingError, translate_read_errors
from refdiff.model_identity import convert_command, fetch_command, find_model
from refdiff.paths import expand
from refdiff.safetensors_header import read_header

POSITIONS = "position_ids"
"""Old files hold these as numbers, and no model reads them."""
_COUNTS = (POSITIONS, "num_batches_tracked")
_PREFIX = "text_model."
"""Weights of a text encoder may have it or not: transformers takes both, and of two silently one."""
_FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model before it is loaded.

    Attributes:
        name: As messages call it.
        folder: Where it is.
        files: The weights that are read.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        """Size of the weights."""
        return sum(file.stat().st_size for file in self.files)


@dataclass(frozen=True, slots=True)
class ModelKind:
    """Which files the models of a kind have.

    Attributes:
        noun: What messages call one.
        stems: The weights file of each network without its ending, by the network's folder; "" is the model's own.
        others: Patterns of the other files that are read.
        library: Which library opens other weights, and writes them as they are read.
        classes: Those of the library that do it.
        options: Of opening them, as Python.
    """

    noun: str
    stems: Mapping[str, str]
    others: tuple[str, ...]
    library: str
    classes: tuple[str, ...]
    options: str = ""

    @property
    def patterns(self) -> tuple[str, ...]:
        """All files that are read; what else a repository holds (safety checker, other formats) is not needed."""
        endings = (".safetensors*", "-*-of-?????.safetensors")
        return (*self.others, *(_below(part, stem + end) for part, stem in self.stems.items() for end in endings))


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that should hold a model.

    Attributes:
        name: As params.yaml has it.
        revision: The hub revision.
        path: Where it is.
        kind: What it should be.
    """

    name: str
    revision: str | None
    path: Path
    kind: ModelKind

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of the user's own, and not of the hub's cache."""
        return expand(self.name).is_dir()

    @property
    def advice(self) -> str:
        """What to do about a file that is missing."""
        if self.is_local:
            return "complete the folder"
        return f"fetch it again with `{fetch_command(self.name, self.revision, self.kind.patterns)}`"

    def replace(self, file: str) -> str:
        """What to do about a file that is there and broken."""
        if self.is_local:
            return "copy it again"
        return f"fetch it again with `{fetch_command(self.name, self.revision, [file], is_broken=True)}`"

    def read_json(self, file: str) -> dict[str, Any]:
        """A JSON file of the model, such as `unet/config.json`.

        Raises:
            ModelError: It is not there, or is no JSON object.
            UnreadableError: It cannot be read now.
        """
        try:
            with translate_read_errors(self.path / file):
                content = json.loads((self.path / file).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelMissingError(f"model {self.name}: has no {file}; {self.advice}") from error
        except (OSError, ValueError) as error:
            raise ModelError(f"model {self.name}: {file} is no JSON ({error}); {self.replace(file)}") from error
        if not isinstance(content, dict):
            raise ModelError(f"model {self.name}: {file} is no JSON object; {self.replace(file)}")
        return content

    def find_weights(self, others: Iterable[str]) -> tuple[Path, ...]:
        """The weights files of all networks, each of one file or of shards, with headers that fit.

        Args:
            others: Files that the model must have beside them.

        Raises:
            ModelMissingError: A file of the model is not there, by name; what is there instead is said.
            ModelError: An index of shards does not name them, or a file is none of weights in floating point.
            UnreadableError: One cannot be read now.
        """
        found = {part: self._list_weights(part) for part in self.kind.stems}
        missing = [file for file in others if not (self.path / file).is_file()]
        is_else_whole = not missing
        weights = [file for files in found.values() for file in files]
        missing += [file.relative_to(self.path).as_posix() for file in weights if not file.is_file()]
        if missing:
            said = f"model {self.name}: has no {', no '.join(missing)}"
            instead = [name for part, files in found.items() if not files[0].is_file() for name in self._list_odd(part)]
            if not instead:
                raise ModelMissingError(f"{said}; expected {self.kind.noun} with safetensors weights; {self.advice}")
            raise ModelMissingError(f"{said}; {self._describe_odd(instead, is_else_whole)}")
        for part, files in found.items():
            where = f"its {part} " if part else ""
            names = {key for file in files for key in self._check_header(file, where)}
            twice = sorted(key for key in names if f"{_PREFIX}{key}" in names)
            if twice:
                raise ModelError(
                    f"model {self.name}: {where}has {len(twice)} weights twice, with and without the prefix {_PREFIX} "
                    f"({twice[0]} ...); expected each once, as they may differ; get a whole model, or choose another"
                )
        return tuple(weights)

    def _list_weights(self, part: str) -> tuple[Path, ...]:
        """The weights files that the network's library reads, whether they are there or not."""
        stem, folder = self.kind.stems[part], self.path / part
        single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
        if not index.is_file():
            has_shards = not single.is_file() and any(folder.glob(f"{stem}-*-of-?????.safetensors"))
            return (index if has_shards else single,)
        if stem == "model" and single.is_file():  # transformers takes it first, diffusers the index
            return (single,)
        shards = self.read_json(_below(part, index.name)).get("weight_map")
        if not isinstance(shards, dict) or not shards or not all(isinstance(file, str) for file in shards.values()):
            advice = self.replace(_below(part, index.name))
            raise ModelError(f"model {self.name}: {index} has no weight_map of file names; {advice}")
        return tuple(folder / Path(file).name for file in sorted(set(shards.values())))

    def _check_header(self, file: Path, part: str) -> Iterable[str]:
        """The names of a file's weights, which are in floating point."""
        where = f"model {self.name}: "
        try:
            header = read_header(file)
        except ModelError as error:
            advice = self.replace(file.relative_to(self.path).as_posix())
            raise ModelError(f"{where}{part}cannot be loaded: {error}; {advice}") from error
        others = {dtype for key, (dtype, _) in header.items() if dtype not in _FLOATS and not key.endswith(_COUNTS)}
        if others:
            raise ModelError(
                f"{where}{file} holds numbers of type {min(others)}; expected {', '.join(_FLOATS)} (no quantized "
                "weights); choose other files of the model"
            )
        return header

    def _list_odd(self, part: str) -> list[str]:
        """Weights files of other kinds."""
        endings = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
        return sorted(_below(part, path.name) for path in (self.path / part).glob("*") if path.name.endswith(endings))

    def _describe_odd(self, others: list[str], is_else_whole: bool) -> str:
        """What weights of other kinds are, and how they become those that are read."""
        plain = [other for other in others if other.endswith(".safetensors")]
        if plain:
            variant = plain[0].removesuffix(".safetensors").partition(".")[2]
            what, option = f"weights of the variant {variant} are", f", variant={json.dumps(variant)}"
        else:
            what, option = "pickled weights are", ""
        revision = "" if self.revision is None else f", revision={json.dumps(self.revision)}"
        target = f"models/{Path(self.name).name}-plain"
        opening = f"from_pretrained({json.dumps(str(expand(self.name)))}{option}{revision}{self.kind.options})"
        command = convert_command(opening, target, self.kind.library, self.kind.classes)
        first = "" if is_else_whole else f"{self.advice}, then "
        fetch = first if self.is_local else f"{self.advice}, or, where the repository has no others, "
        return (
            f"only {what} there ({', '.join(others)}); expected plain safetensors weights; {fetch}convert "
            f"them with `{command}` and name {target}"
        )


def open_folder(name: str, revision: str | None, kind: ModelKind) -> ModelFolder:
    """A model's folder, in which nothing is read yet; arguments and errors are those of `find_model`."""
    return ModelFolder(name, revision, find_model(name, revision, kind.patterns), kind)


def _below(part: str, file: str) -> str:
    return f"{part}/{file}" if part else file
