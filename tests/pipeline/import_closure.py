"""Which of the project's own files a script imports, directly or through others, found by reading the source."""

import ast
from pathlib import Path


def import_closure(script: Path, root: Path) -> set[Path]:
    """Files below `root` that `script` imports, transitively, itself included; paths relative to `root`.

    Imports inside functions count: they are made when the function runs.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for module in _imported_modules(root / file):
            waiting.extend(_files_of(module, root))
    return found


def _imported_modules(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            modules.add(node.module)
            modules.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name for name in modules if name.split(".")[0] in ("refdiff", "stages")}


def _files_of(module: str, root: Path) -> list[Path]:
    """The module's file and the __init__ files of the packages on the way."""
    parts = module.split(".")
    files: list[Path] = []
    for length in range(1, len(parts) + 1):
        base = Path(*parts[:length])
        for candidate in (base / "__init__.py", base.with_suffix(".py")):
            if (root / candidate).is_file():
                files.append(candidate)
    return files
