"""What no row of params.yaml would use any more: work folders and pools of rows or parameters that are gone.

Parameters decide, and nothing else: a folder of another model, code, kind of device or library version stays, since a
second environment may work in the same project. What a run holds stays in any case.
"""

import json
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.latent_pool import describe_latent
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings, posterior_seed
from refdiff.errors import ParameterError, StoreError
from refdiff.params import PARAMS_FILE, Section, find, parse_section, read_params
from refdiff.proposals.settings import PHOTO_SOURCES
from refdiff.store.hold import empty_folder, hold_folder
from refdiff.store.photo_batches import find_pool
from refdiff.store.pool import hold_siblings
from refdiff.store.work import COMPLETE, FACTS, WORK, translate_write_errors

POOL = "pool"
SectionT = TypeVar("SectionT", bound=Section)

_DIGEST = "[0-9a-f]" * 20

Uses = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
"""By stage (`pool/<stage>` for its pools) and a folder's name without digest: facts, of which a used one has some."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A folder that no row uses.

    Attributes:
        path: The folder.
        freed: Bytes of files that have no other name.
        shared: Bytes of files that others are links to, such as the published store.
        held: Whether a run holds it, so that it stays.
    """

    path: Path
    freed: int
    shared: int
    held: bool


def prune_work(root: Path, *, dry_run: bool) -> Iterator[Pruned]:
    """Remove work folders and pools that no row of params.yaml uses.

    Args:
        root: The project's folder.
        dry_run: Remove nothing.

    Yields:
        Each, after it was removed. Of a work folder the locks stay (see `empty_folder`).

    Raises:
        ParameterError: params.yaml does not say what is used.
        StoreError: Something cannot be removed.
    """
    uses = _list_uses(root / PARAMS_FILE)
    for folder in _find_unused(root, uses, [stage for stage in uses if not stage.startswith(POOL)]):
        freed, shared = _measure(folder)
        yield Pruned(folder, freed, shared, not _empty(folder, dry_run=dry_run))
    for folder in _find_unused(root, uses, [stage for stage in uses if stage.startswith(POOL)]):
        freed, shared = _measure(folder)
        yield Pruned(folder, freed, shared, not _drop_pool(root, folder, dry_run=dry_run))


def _list_uses(path: Path) -> Uses:
    params = read_params(path)

    def parse(model: type[SectionT], name: str) -> SectionT:
        return parse_section(model, find(params, name), name)

    splits, sources = _rows(params, "splits"), _rows(params, "sources")
    captures = {name: parse(CaptureSettings, f"captures.{name}") for name in _rows(params, "captures")}
    extract, clip = parse(ExtractAttentionSettings, "extract_attention"), parse(ClipSettings, "embed_clip")
    masks = {name: [_parameters(PHOTO_SOURCES.read(params, name))] for name in sources}
    pairs = [(split, source) for split in splits for source in sources]
    latents = [
        {"parameters": describe_latent(row.canvas_px, row.canvas_mode, posterior_seed(row, extract))}
        for row in captures.values()
        if extract.keep_latents
    ]
    return {
        "extract_attention": {
            f"{split}-{name}": [{"capture": row.model_dump(mode="json"), **_parameters(extract)}]
            for split in splits
            for name, row in captures.items()
        },
        "propose_masks": {f"{split}-{source}": masks[source] for split, source in pairs},
        "embed_clip": {f"{split}-{source}": [_parameters(clip)] for split, source in pairs},
        f"{POOL}/extract_attention": {"latents": latents},
        f"{POOL}/propose_masks": masks,
        f"{POOL}/embed_clip": {"views": [_parameters(clip)]},
    }


def _parameters(section: Section) -> dict[str, Any]:
    return {"parameters": section.model_dump(mode="json")}


def _rows(params: dict[str, Any], table: str) -> list[str]:
    rows = find(params, table)
    if rows is not None and not isinstance(rows, dict):
        got = type(rows).__name__
        raise ParameterError(f"{PARAMS_FILE}: {table}: expected a row by each name, got {got}; correct it")
    return [str(name) for name in rows or {}]


def _find_unused(root: Path, uses: Uses, stages: list[str]) -> list[Path]:
    found = []
    for stage in stages:
        for folder in sorted((root / WORK / stage).glob(f"*-{_DIGEST}")):
            facts = _read_facts(folder)
            wanted = uses[stage].get(folder.name.rsplit("-", 1)[0], ())
            if facts is not None and not any(_has(facts, row) for row in wanted):
                found.append(folder)
    return found


def _read_facts(folder: Path) -> dict[str, Any] | None:
    """What a folder was made with; None for one that is empty, or damaged and so nobody's to judge."""
    try:
        facts = json.loads((folder / FACTS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def _has(facts: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a folder's parameters are those that a row has now; the facts leave out what moves no value."""
    for name, now in wanted.items():
        then = facts.get(name)
        if isinstance(then, dict) and any(now.get(key) != value for key, value in then.items()):
            return False
    return True


def _measure(folder: Path) -> tuple[int, int]:
    """Bytes of files that have this name alone, and of files that have others."""
    stats = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # a run may hold the folder, and what it writes comes and goes
            if stat.S_ISREG((found := path.lstat()).st_mode):
                stats.append(found)
    alone = sum(each.st_size for each in stats if each.st_nlink == 1)
    return alone, sum(each.st_size for each in stats) - alone


def _empty(folder: Path, *, dry_run: bool) -> bool:
    """Empty a work folder; whether it was free."""
    try:
        with translate_write_errors(folder), hold_folder(folder, wait=False):
            if not dry_run:
                empty_folder(folder, first=COMPLETE)
    except StoreError:
        if _is_held(folder):
            return False
        raise
    return True


def _drop_pool(root: Path, pool: Path, *, dry_run: bool) -> bool:
    """Remove a pool; whether no run uses it. A run that is about to waits for the lock of the pool's name."""
    with translate_write_errors(pool), hold_siblings(pool):
        work = root / WORK / pool.parent.name
        if any(_is_held(folder) and _may_use(folder, pool) for folder in work.glob(f"*-{_DIGEST}")):
            return False
        if not dry_run:
            shutil.rmtree(pool)
    return True


def _may_use(work: Path, pool: Path) -> bool:
    try:
        return find_pool(work).resolve() == pool.resolve()
    except StoreError:
        return True  # of an older version, or not yet written


def _is_held(folder: Path) -> bool:
    try:
        with hold_folder(folder, wait=False):
            return False
    except (StoreError, OSError):  # another's, or another person's
        return True
