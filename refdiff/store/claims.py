"""Who computes what: claims of living processes on keys, so that no two of them compute the same.

A claim is a list of keys and a lock that its holder keeps; the lock is the kernel's, so a claim dies with its holder,
however that ends. Claims are made and looked up under one short lock, the registry.
"""

import json
import os
import platform
import sys
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from refdiff.store.work import write_json


@dataclass(frozen=True, slots=True)
class LivingClaim:
    """A claim of another holder.

    Attributes:
        keys: What it computes.
        holder: Its process, for people.
        lock: Its lock file.
    """

    keys: frozenset[str]
    holder: str
    lock: Path


class Claims:
    """The claims in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def registry(self) -> Iterator[None]:
        """Hold the registry: nobody else makes, ends or looks up claims meanwhile. To be held shortly."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "registry"):
            yield

    def living(self) -> list[LivingClaim]:
        """Claims whose holders live; those of dead ones are taken away. Under the registry."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            lock = FileLock(path.with_suffix(".lock"))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                content = json.loads(path.read_text(encoding="utf-8"))
                found.append(LivingClaim(frozenset(content["keys"]), content["holder"], path.with_suffix(".lock")))
            else:
                path.unlink()
                lock.release()
                path.with_suffix(".lock").unlink(missing_ok=True)
        return found

    def make(self, keys: Collection[str]) -> "Claim":
        """A claim on keys that nobody else claims. Under the registry."""
        return Claim(self, self._folder / f"{uuid.uuid4().hex}.json", keys)

    def wait(self, claim: LivingClaim, what: str) -> None:
        """Wait until the holder of a claim has ended it, or is gone; say so on standard error."""
        print(f"{what}: {claim.holder} is computing what is wanted here; waiting for it", file=sys.stderr)
        with FileLock(claim.lock):
            pass
        claim.lock.unlink(missing_ok=True)


class Claim:
    """A claim of this process, made by `Claims.make`.

    Args:
        claims: The folder's claims.
        path: Its file.
        keys: What it is on.
    """

    def __init__(self, claims: Claims, path: Path, keys: Collection[str]) -> None:
        self._claims = claims
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"), thread_local=False)
        write_json(path, {"keys": sorted(keys), "holder": f"process {os.getpid()} on {platform.node()}"})
        self._lock.acquire(timeout=0)

    def end(self) -> None:
        """Give the keys free."""
        with self._claims.registry():
            self._path.unlink(missing_ok=True)
            self._lock.release()
            self._path.with_suffix(".lock").unlink(missing_ok=True)
