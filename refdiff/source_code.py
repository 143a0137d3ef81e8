"""Which of the project's own files a result depends on, found by reading the sources: nothing is imported for it.

A stage that keeps results for later runs names them by a digest of the code that made them. That code is what the
module with the stage's computing imports, directly or through others, but for files that are known to be neutral. So a
new module counts from the moment that it is imported, and nobody has to remember a list; what is left out is a list,
with a reason for each entry. Of a file count its tokens: an edit of comments, docstrings or blank lines, or another
wrapping inside brackets, leaves the digest as it is.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tokenize import TokenInfo

from refdiff.store.fingerprint import digest_bytes, digest_facts

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
        "file_kind.py",
        "layout.py",
        "paths.py",
        "progress.py",
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
        """SHA-256 over names of `files` and their tokens; the same for every version of Python."""
        return digest_facts(
            {file: _digest_tokens((PACKAGE / file).read_text(encoding="utf-8")) for file in self.files()}
        )


@cache
def _digest_tokens(source: str) -> str:
    """SHA-256 of a source's tokens and indentation, without comments and without strings that are whole statements."""
    kept: list[str] = []
    statement: list[TokenInfo] = []
    for token in _whole_strings(source):
        if token.type in (tokenize.INDENT, tokenize.DEDENT):
            kept.append(tokenize.tok_name[token.type])
        elif token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER):
            statement.append(token)
        if token.type == tokenize.NEWLINE:
            if any(each.type not in (tokenize.STRING, tokenize.NEWLINE) for each in statement):
                kept += (each.string.strip("\n") for each in statement)
            statement = []
    return digest_bytes("\0".join(kept).encode())


def _whole_strings(source: str) -> Iterator[TokenInfo]:
    """Tokens, of which a string with expressions in it is one, of a type of its own, as it stands in the source.

    Python 3.12 and later take such strings apart; 3.11 gives them as plain strings.
    """
    lines = io.StringIO(source).readlines()
    opened: list[TokenInfo] = []
    for token in tokenize.generate_tokens(iter(lines).__next__):
        name = tokenize.tok_name[token.type]
        if name in ("FSTRING_START", "TSTRING_START"):
            opened.append(token)
        if opened and name in ("FSTRING_END", "TSTRING_END"):
            first = opened.pop()
            if not opened:
                (top, left), (bottom, right) = first.start, token.end
                text = "".join(lines[top - 1 : bottom])
                text = text[left : len(text) - len(lines[bottom - 1]) + right]
                yield TokenInfo(tokenize.OP, text, first.start, token.end, first.line)
        elif not opened:
            expressions = token.type == tokenize.STRING and "f" in token.string.split(token.string[-1], 1)[0].lower()
            yield token._replace(type=tokenize.OP) if expressions else token


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
