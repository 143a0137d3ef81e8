"""JSON files beside the tables, read back: each is checked once, and used as it stands from then on."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from refdiff.errors import ArtifactMissingError, RefdiffError, StoreMismatchError, translate_read_errors


def read_record(path: Path, model: type[BaseModel]) -> Any:
    """The content of a JSON file that a stage wrote, as plain containers.

    Args:
        path: The file.
        model: What its readers rely on; other entries are left as they are.

    Raises:
        ArtifactMissingError: It is not there.
        UnreadableError: It is there and cannot be read.
        StoreMismatchError: It is no file, is not JSON, or does not hold what the model says.
    """
    try:
        with translate_read_errors(path):
            content = path.read_bytes()
        model.model_validate_json(content)
        return json.loads(content)
    except FileNotFoundError as error:
        raise ArtifactMissingError(f"{path}: not there; run `dvc repro`, which makes it") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:120] or "the whole"
        raise StoreMismatchError(f"{path}: {place}: {first['msg']}; make it again with `dvc repro`") from error
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, RefdiffError):
            raise
        raise StoreMismatchError(
            f"{path}: is no record of a stage ({error}); make it again with `dvc repro`"
        ) from error
