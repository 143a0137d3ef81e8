"""A params.yaml made of a preset and a dataset's splits, in the form in which DVC writes it back."""

import hashlib
import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from refdiff.errors import ParameterError
from refdiff.params import PARAMS_FILE, parse_params
from refdiff.presets.datasets import DATASETS, SplitRows
from refdiff.presets.table import PRESETS, Preset

_SPLITS = re.compile(r"^splits:\n(?:  .*\n)+", re.MULTILINE)
_COMMENT = re.compile(r"^    (\w+):.*?# (.*)$", re.MULTILINE)
_COMMENT_COLUMN = 31
_HEADER = re.compile(r"# Written by `refdiff init [^`\n]*`; digest of the rest: (?P<digest>[0-9a-f]{16})\n\n")


def compose(preset: Preset, dataset: str, rows: SplitRows) -> str:
    """The text of a params.yaml.

    Args:
        preset: Whose parameters.
        dataset: Its name among `DATASETS`.
        rows: Take the place of the preset's own splits.

    Raises:
        ParameterError: A name in a row is none in YAML ("on" is true there).
    """
    text = preset.path.read_text(encoding="utf-8")
    found = _SPLITS.search(text)
    assert found is not None, preset.path
    text = f"{text[: found.start()]}{_dump_rows(rows, dict(_COMMENT.findall(found.group())))}{text[found.end() :]}"
    yaml = YAML()
    params = yaml.load(text)
    params["methods"]["released"]["min_area_px"] = DATASETS[dataset].released_min_area_px
    body = _dump(yaml, params)
    read = parse_params(body, PARAMS_FILE)["splits"]
    if read != rows:
        raise ParameterError(
            f"--dataset {dataset}: a folder or split is no plain name in YAML ({rows} would be read as {read}); "
            "rename it, or put ./ before the folder"
        )
    command = f"refdiff init --preset {preset.name} --dataset {dataset}"
    return f"# Written by `{command}`; digest of the rest: {_digest(body)}\n\n{body}"


def is_unchanged(text: str) -> bool:
    """Whether a params.yaml is a preset, or as `compose` made it: nothing of a person's own is lost with it."""
    header = _HEADER.match(text)
    if header is not None:
        return _digest(text[header.end() :]) == header["digest"]
    return any(text == preset.path.read_text(encoding="utf-8") for preset in PRESETS.values())


def _dump_rows(rows: SplitRows, comments: dict[str, str]) -> str:
    """The section `splits`; its first row has the comments."""
    splits = CommentedMap({name: CommentedMap(row) for name, row in rows.items()})
    first = next(iter(splits.values()))
    for key, comment in comments.items():
        first.yaml_add_eol_comment(comment, key, column=_COMMENT_COLUMN)
    return _dump(YAML(), CommentedMap({"splits": splits}))


def _dump(yaml: YAML, content: Any) -> str:
    """As DVC dumps (`dvc.utils.serialize`), so that `dvc exp run -S` changes one line."""
    yaml.default_flow_style = False
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8")).hexdigest()[:16]
