"""What the engine needs to know of a stage's work."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Protocol


class ShardRunner(Protocol):
    """A stage's model and inputs, loaded once and kept as long as its worker lives."""

    def run(self, shards: Iterator[int]) -> Iterator[int]:
        """Compute shards as the iterator hands them out; each is on disk, and marked as done, before it is yielded.

        The runner may take the next shards while one is being computed, to read their photos; it yields them in the
        order in which it took them.
        """
        ...


class ShardJob(Hashable, Protocol):
    """A store in the making, small enough to be sent to every worker; two jobs are equal when their work is the same.

    Attributes:
        folder: The work folder, the same for every worker, on a file system that all of them see.
    """

    @property
    def folder(self) -> Path: ...

    def is_done(self, shard: int) -> bool:
        """Whether a shard's marker is there."""
        ...

    def lock(self, shard: int) -> Path:
        """The file that whoever computes a shard has locked.

        Jobs that have work in common, such as splits that share photos, name the same file for it: one of them computes
        it, and the others find it done.
        """
        ...

    def describe(self, shard: int) -> str:
        """What is in a shard, for a person: its images."""
        ...

    def start(self) -> ShardRunner:
        """Load the model, in the worker."""
        ...
