"""The files of a Stable Diffusion pipeline that are read: found and named, nothing loaded (no torch here)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.errors import ModelError, ModelMissingError
from refdiff.model_identity import convert_command, fetch_command
from refdiff.paths import expand

# Each part's weights file without its ending.
_STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "model"}
INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"
# What a pipeline's repository must hold, shards and their index included; the rest (safety checker, other formats) is
# not needed.
NEEDED_FILES = (
    INDEX,
    "*/*config.json",
    "tokenizer/*",
    *(
        f"{part}/{stem}{ending}"
        for part, stem in _STEMS.items()
        for ending in (".safetensors*", "-*-of-?????.safetensors")
    ),
)


@dataclass(frozen=True, slots=True)
class PipelineFolder:
    """A folder that should hold a pipeline.

    Attributes:
        name: As params.yaml has it.
        revision: The hub revision.
        path: Where it is.
    """

    name: str
    revision: str | None
    path: Path

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of the user's own, and not of the hub's cache."""
        return expand(self.name).is_dir()

    @property
    def advice(self) -> str:
        """What to do about a file that is missing or broken."""
        if self.is_local:
            return "complete the folder"
        return f"fetch it again with `{fetch_command(self.name, self.revision, NEEDED_FILES)}`"

    def read_json(self, file: str) -> dict[str, Any]:
        """A JSON file of the pipeline, such as `unet/config.json`.

        Raises:
            ModelError: It is not there, or is no JSON object.
        """
        try:
            content = json.loads((self.path / file).read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
            reason = f"expected an object, got {type(content).__name__}"
        except (OSError, ValueError) as error:
            reason = str(error)
        raise ModelError(f"model {self.name}: {self.path / file} cannot be read ({reason}); {self.advice}")

    def find_weights(self) -> dict[str, tuple[Path, ...]]:
        """The weights files of U-Net, VAE and text encoder: one each, or shards.

        Raises:
            ModelMissingError: A file of the pipeline is not there, by name; what is there instead is said.
            ModelError: An index of shards does not name them.
        """
        found = {part: self._list_weights(part) for part in _STEMS}
        wanted = [SCHEDULER, *(f"{part}/config.json" for part in _STEMS)]
        tokenizer = {path.name for path in (self.path / "tokenizer").glob("*")}
        if "tokenizer.json" not in tokenizer:
            wanted += ["tokenizer/vocab.json", "tokenizer/merges.txt"]
        wanted += [file.relative_to(self.path).as_posix() for files in found.values() for file in files]
        missing = [file for file in wanted if not (self.path / file).is_file()]
        if missing:
            said = f"model {self.name}: has no {', no '.join(missing)}"
            others = [other for part in _STEMS for other in self._list_others(part) if not found[part][0].is_file()]
            unfound = sum(not file.is_file() for files in found.values() for file in files)
            if not others:
                raise ModelMissingError(
                    f"{said}; expected a diffusers pipeline with safetensors weights; {self.advice}"
                )
            raise ModelMissingError(f"{said}; {self._describe_others(others, len(missing) == unfound)}")
        return found

    def _list_weights(self, part: str) -> tuple[Path, ...]:
        """The weights files that the part's library reads, whether they are there or not."""
        stem, folder = _STEMS[part], self.path / part
        single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
        if not index.is_file():
            has_shards = not single.is_file() and any(folder.glob(f"{stem}-*-of-?????.safetensors"))
            return (index if has_shards else single,)
        if part == "text_encoder" and single.is_file():  # transformers takes it first, diffusers the index
            return (single,)
        shards = self.read_json(f"{part}/{index.name}").get("weight_map")
        if not isinstance(shards, dict) or not shards or not all(isinstance(file, str) for file in shards.values()):
            raise ModelError(f"model {self.name}: {index} has no weight_map of file names; {self.advice}")
        return tuple(folder / Path(file).name for file in sorted(set(shards.values())))

    def _list_others(self, part: str) -> list[str]:
        """Weights files of other kinds."""
        files = sorted(path.name for path in (self.path / part).glob("*model*"))
        return [f"{part}/{name}" for name in files if name.endswith((".safetensors", ".bin"))]

    def _describe_others(self, others: list[str], is_else_whole: bool) -> str:
        """What weights of other kinds are, and how they become those that are read."""
        plain = [other for other in others if other.endswith(".safetensors")]
        if plain:
            variant = plain[0].removesuffix(".safetensors").partition(".")[2]
            what, option = f"weights of the variant {variant} are", f", variant={json.dumps(variant)}"
        else:
            what, option = "pickled weights are", ""
        revision = "" if self.revision is None else f", revision={json.dumps(self.revision)}"
        target = f"models/{Path(self.name).name}-plain"
        opening = f"from_pretrained({json.dumps(str(expand(self.name)))}{option}{revision}, safety_checker=None)"
        first = "" if is_else_whole else f"{self.advice}, then "
        fetch = first if self.is_local else f"{self.advice}, or, where the repository has no others, "
        return (
            f"only {what} there ({', '.join(others)}); expected plain safetensors weights; {fetch}convert "
            f"them with `{convert_command(opening, target)}` and name {target}"
        )
