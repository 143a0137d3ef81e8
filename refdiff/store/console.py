"""What `refdiff store verify`, `info`, `repair` and `prune` do and print."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from refdiff.errors import ParameterError, StoreMismatchError
from refdiff.parquet import verify_table
from refdiff.paths import expand_local
from refdiff.store.describe import describe_summary, format_size, summarise_store
from refdiff.store.dvc_cache import find_cached
from refdiff.store.manifest import METADATA
from refdiff.store.members import find_members
from refdiff.store.opened import OpenedStore, open_store
from refdiff.store.prune import Kept, choose, list_work, prune
from refdiff.store.repair import Repair, drop_published, repair_store
from refdiff.store.verify import Fault, Kind, verify_store

EXIT_DAMAGED = 1


def print_verification(path: str) -> None:
    """`refdiff store verify`: print the faults; exit code 1 when there are any.

    Raises:
        StoreError: The store cannot be opened.
    """
    if path.endswith(".parquet"):
        rows = verify_table(expand_local(path))
        print(f"{path}: whole; {rows} rows")
        return
    store = open_store(path)
    faults = verify_store(store)
    if not faults:
        files = sum(1 for _ in store.manifest.files())
        print(f"{path}: whole; {files} files with their digests, {len(store.manifest.shards)} shards")
        return
    for line in describe_faults(store, faults):
        print(line)
    print(f"{_count(len(faults), 'fault')}; {_advise(path, faults)}")
    sys.exit(EXIT_DAMAGED)


def print_summary(path: str, *, as_json: bool) -> None:
    """`refdiff store info`: print what the store is.

    Raises:
        StoreError: The store cannot be opened.
    """
    summary = summarise_store(open_store(path))
    if as_json:
        print(json.dumps(asdict(summary), ensure_ascii=True, indent=2))
    else:
        print("\n".join(describe_summary(summary)))


def repair_and_print(path: str) -> None:
    """`refdiff store repair`: drop what is damaged and say what the next run will do.

    Raises:
        StoreError: The store cannot be opened, is being worked on, or cannot be changed.
    """
    try:
        store = open_store(path)
    except StoreMismatchError:
        # Without its metadata nothing tells what is whole, except where DVC knows the folder as an output.
        folder = expand_local(path)
        if "://" in path or not find_cached(folder):
            raise
        fault = Fault(Kind.DAMAGED, METADATA, None, "is no metadata of a store")
        print_repair(folder, drop_published(folder, [fault]))
        return
    faults = verify_store(store)
    for line in describe_faults(store, faults):
        print(line)
    if not faults:
        print(f"{path}: whole; nothing to repair")
        return
    dropped = repair_store(store, faults)  # which refuses a remote one
    print_repair(expand_local(path), dropped)


def prune_and_print(*, older_than: float | None, keep_gb: float | None, dry_run: bool) -> None:
    """`refdiff store prune`: a line for each work folder and pool of this project, and what was freed.

    Args:
        older_than: Remove what no run began to use for so many days; None for nothing.
        keep_gb: Remove the oldest until so many GB are left; None for nothing.
        dry_run: Remove nothing.

    Raises:
        ParameterError: A limit is no number of days or GB.
        StoreError: Something cannot be removed.
    """
    for name, limit in (("--older-than", older_than), ("--keep-gb", keep_gb)):
        if limit is not None and not limit >= 0:
            raise ParameterError(f"{name}: expected a number that is 0 or more, got {limit}; correct it")
    kept = list_work(Path())
    chosen = choose(
        kept, math.inf if older_than is None else older_than, math.inf if keep_gb is None else keep_gb * 1e9
    )
    for each in kept:
        if each not in chosen:
            print(f"kept {_describe_kept(each)}")
    freed = 0
    for each, free in prune(chosen, dry_run=dry_run):
        verb = "would remove" if dry_run else "removed"
        print(f"{verb} {_describe_kept(each)}" if free else f"kept {each.path}: a run is at work on it")
        freed += each.freed if free else 0
    total = sum(each.freed for each in kept)
    advice = "" if chosen else "; --older-than DAYS or --keep-gb GB removes the oldest"
    print(f"{format_size(freed)} of {format_size(total)} {'would be' if dry_run else 'were'} freed{advice}")


def _describe_kept(kept: Kept) -> str:
    if kept.is_pool:
        what = f"used by {', '.join(kept.users) or 'nobody'}"
    else:
        what = "published" if kept.complete else "not published"
    shared = f" and {format_size(kept.shared)} that have other names" if kept.shared else ""
    return f"{kept.path}: {what}, last used {kept.days:.1f} days ago, {format_size(kept.freed)}{shared}"


def describe_faults(store: OpenedStore, faults: Sequence[Fault]) -> list[str]:
    """One line for each fault: the file, what is wrong, the shard, and whom it concerns."""
    members = find_members(store)
    lines = []
    for fault in faults:
        concerns = ", ".join(
            part
            for part in ("" if fault.shard is None else f"shard {fault.shard}", members.describe(fault.name))
            if part
        )
        about = f" ({concerns})" if concerns else ""
        lines.append(f"{fault.kind}: {store.source.where}/{fault.name}{about}: {fault.reason}")
    return lines


def _advise(path: str, faults: Sequence[Fault]) -> str:
    if any(fault.kind == Kind.UNREADABLE for fault in faults):
        return "see to what cannot be read, then run this again: nobody knows whether it is damaged"
    return f"`refdiff store repair {path}` drops what is damaged"


def print_repair(where: Path, repair: Repair) -> None:
    """Say what was dropped and what to do now."""
    print(
        f"{where}: dropped {_count(len(repair.removed), 'file')} of it, {len(repair.work)} of its work folder and "
        f"{_count(len(repair.cache), 'object')} of DVC's cache"
    )
    kept = (
        "" if repair.kept is None else f"; {_count(repair.kept, 'shard')} in the work folder will not be computed again"
    )
    print(f"run `dvc repro`{kept}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
