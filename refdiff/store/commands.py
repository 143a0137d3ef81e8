"""Arguments of the commands `refdiff store verify`, `info`, `repair` and `prune`."""

import argparse

_PATH = "a store (.zarr folder), a work folder below .work, or an address such as s3://bucket/paper.zarr"


def add_store_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `store` with its four commands to a parser; each sets `run`, which takes the parsed arguments."""
    store = commands.add_parser("store", help="verify, describe or repair a store of features")
    actions = store.add_subparsers(title="commands", required=True, metavar="COMMAND")
    verify = actions.add_parser(
        "verify",
        help="read everything and name what is damaged",
        description="Read every file of a store, compare digests and chunk checksums, and name every file that is "
        "damaged, missing, unreadable or one too many. Exit code 0: whole; 1: not; 2: it cannot be judged.",
    )
    verify.add_argument("path", metavar="PATH", help=f"{_PATH}, or a .parquet table")
    verify.set_defaults(run=_verify)
    info = actions.add_parser("info", help="print provenance, sizes, compression and progress")
    info.add_argument("path", metavar="PATH", help=_PATH)
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(run=_describe)
    repair = actions.add_parser(
        "repair",
        help="drop what is damaged, so that `dvc repro` computes just that",
        description="Verify a store and drop what is damaged: from the store, from its work folder, and from DVC's "
        "cache. The next `dvc repro` restores or computes just that. As long as a file cannot be read, nothing goes.",
    )
    repair.add_argument("path", metavar="PATH", help="a store (.zarr folder) or a work folder below .work")
    repair.set_defaults(run=_repair)
    prune = actions.add_parser(
        "prune",
        help="list what is below .work with its age and size, and remove the oldest",
        description="List the work folders and pools below .work of the current folder: what each is for, when a run "
        "last began to use it, and its size. With a limit, remove the oldest. What a run holds stays, and so does all "
        "that is published; what was removed is computed again when a run needs it.",
    )
    prune.add_argument("--older-than", type=float, metavar="DAYS", help="remove what was not used for so long")
    prune.add_argument("--keep-gb", type=float, metavar="GB", help="remove the oldest until so much is left")
    prune.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    prune.set_defaults(run=_prune)


# What inspects a store takes a second to import, which `refdiff segment` need not pay.
def _verify(arguments: argparse.Namespace) -> None:
    from refdiff.store.console import print_verification

    print_verification(arguments.path)


def _describe(arguments: argparse.Namespace) -> None:
    from refdiff.store.console import print_summary

    print_summary(arguments.path, as_json=arguments.json)


def _prune(arguments: argparse.Namespace) -> None:
    from refdiff.store.console import prune_and_print

    prune_and_print(older_than=arguments.older_than, keep_gb=arguments.keep_gb, dry_run=arguments.dry_run)


def _repair(arguments: argparse.Namespace) -> None:
    from refdiff.store.console import repair_and_print

    repair_and_print(arguments.path)
