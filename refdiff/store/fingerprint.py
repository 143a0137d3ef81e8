"""Digests of what a result depends on: facts, files, folders."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


def digest_facts(facts: Mapping[str, Any] | list[Any]) -> str:
    """SHA-256 of plain containers, the same for the same content whatever the order of keys."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_bytes(content: bytes) -> str:
    """SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_files(files: Iterable[Path], root: Path) -> str:
    """SHA-256 over names (relative to `root`) and contents of files."""
    return digest_facts({path.relative_to(root).as_posix(): digest_file(path) for path in files})


def digest_folder(folder: Path) -> str:
    """SHA-256 over names and contents of every file below `folder`; hidden files and folders do not count."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return digest_files((path for path in files if not _is_hidden(path.relative_to(folder))), folder)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
