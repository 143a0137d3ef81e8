"""What `refdiff store verify`, `info`, `repair` and `prune` do and print."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from refdiff.errors import StoreMismatchError
from refdiff.parquet import verify_table
from refdiff.paths import expand
from refdiff.store.describe import describe_summary, format_size, summarise_store
from refdiff.store.dvc_cache import find_cached
from refdiff.store.manifest import METADATA
from refdiff.store.members import find_members
from refdiff.store.opened import OpenedStore, open_store
from refdiff.store.prune import prune_work
from refdiff.store.repair import Repair, drop_published, repair_store
from refdiff.store.verify import Fault, Kind, verify_store

EXIT_DAMAGED = 1


def print_verification(path: str) -> None:
    """`refdiff store verify`: print the faults; exit code 1 when there are any.

    Raises:
        StoreError: The store cannot be opened.
    """
    if path.endswith(".parquet"):
        rows = verify_table(expand(path))
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
        folder = expand(path)
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
    print_repair(expand(path), repair_store(store, faults))


def prune_and_print(*, dry_run: bool) -> None:
    """`refdiff store prune`: a line for each folder that no row uses, and what they come to.

    Raises:
        ParameterError: params.yaml cannot be read.
        StoreError: Something cannot be removed.
    """
    freed = 0
    for each in prune_work(Path(), dry_run=dry_run):
        shared = f"; {format_size(each.shared)} more have other names" if each.shared else ""
        verb = "would remove" if dry_run else "removed"
        print(
            f"{'kept' if each.held else verb} {each.path}: "
            + ("a run holds it" if each.held else format_size(each.freed) + shared)
        )
        freed += 0 if each.held else each.freed
    print(f"{format_size(freed)} {'would be' if dry_run else 'were'} freed")


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
