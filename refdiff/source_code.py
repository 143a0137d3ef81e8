"""Which of the project's own files a result depends on, found by reading the sources: nothing is imported for it.

A stage that keeps results for later runs names them by a digest of the code that made them. That code is what the
module with the stage's computing imports, directly or through others, but for files that are known to be neutral. So a
new module counts from the moment that it is imported, and nobody has to remember a list; what is left out is a list,
with a reason for each entry.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from refdiff.store.fingerprint import digest_files

PACKAGE = Path(__file__).parent

# By names below the package. A file belongs here only if no edit of it can change a byte of a result that is kept.
NEUTRAL = frozenset(
    {
        # Who computes a shard, and not what is in it: the engines' tests hold that every engine makes the same bits.
        "engine",
        # Locks, markers, and names of work folders; whether workers agree.
        "store/agreement.py",
        "store/hold.py",
        "store/work.py",
        # Messages, paths, and files that are written whole or not at all.
        "errors.py",
        "layout.py",
        "paths.py",
        "whole_file.py",
        # This file: what it finds is in the digest, and whatever it stops finding changes it.
        "source_code.py",
        # Readers, of parameters and of tables: every value that they hand on is itself in the digests.
        "parameter_words.py",
        "params.py",
        "parquet.py",
        "json_record.py",
        "dataset/tables.py",
        "proposals/tables.py",
        "text/parsed.py",
        "text/tables.py",
    }
)


# Knows the settings of every stage, and can only end a stage, not change what it makes.
CHECKS = frozenset({f"{PACKAGE.name}/checking"})


@dataclass(frozen=True, slots=True)
class StageCode:
    """The code that decides what a stage computes.

    Attributes:
        module: The file with the stage's computing, by its name below the package.
        neutral: Files, and folders, of its imports that cannot change a result, by the same names.
    """

    module: str
    neutral: frozenset[str] = NEUTRAL

    def imported(self) -> set[str]:
        """All that is imported, neutral or not, by names below the package.

        Files of packages (`__init__.py`) are left out: they hold no code (tests/pipeline/test_dependencies.py).
        """
        root = PACKAGE.parent
        files = import_closure(Path(PACKAGE.name, self.module), root, (PACKAGE.name,))
        return {file.relative_to(PACKAGE.name).as_posix() for file in files if file.name != "__init__.py"}

    def files(self) -> list[str]:
        """What is imported and not neutral, sorted."""
        return sorted(file for file in self.imported() if not is_below(file, self.neutral))

    def digest(self) -> str:
        """SHA-256 over names and contents of `files`."""
        return digest_files((PACKAGE / file for file in self.files()), PACKAGE)


def is_below(file: str, names: frozenset[str]) -> bool:
    """Whether a file, or a folder that it is in, is among `names`."""
    path = Path(file)
    return any(part.as_posix() in names for part in (path, *path.parents))


def import_closure(script: Path, root: Path, packages: tuple[str, ...]) -> set[Path]:
    """Files of `packages` that a script imports, transitively, itself included.

    Imports inside functions count: they are made when the function runs. So do those that only a type checker makes.
    Those of `CHECKS` do not: every stage checks all parameters, and depends on its own alone.

    Args:
        script: The file to begin with, relative to `root`.
        root: Where the packages lie.
        packages: Names of the packages that are looked into.

    Returns:
        Paths relative to `root`.
    """
    found: set[Path] = set()
    waiting = [script]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        if is_below(file.as_posix(), CHECKS):
            continue
        for module in _imported_modules(root / file):
            if module.split(".")[0] in packages:
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
    return modules


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
