"""Parameters of the engine, and the command-line words that replace them for one run."""

import argparse
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from refdiff.errors import ParameterError
from refdiff.params import Section, parse_section

Kind = Literal["serial", "processes", "dask"]
KINDS: tuple[Kind, ...] = ("serial", "processes", "dask")


class EngineSettings(Section):
    """Section `engine`: who computes the shards. No result depends on it, so no stage has it among its parameters.

    Attributes:
        kind: serial: this process; processes: others of this machine; dask: a Dask cluster.
        workers: Processes, or workers of a local Dask cluster; on a cluster that is there already, at most so many of
            its workers.
        address: Of a Dask scheduler; None starts a local cluster.
        accelerators: Accelerators of each host (what CUDA_VISIBLE_DEVICES takes); a worker is pinned to one. Empty:
            the stage's own `device` decides.
        attempts: Times that a shard is tried before it is given up. When the first shards all fail alike and none is
            computed, the run ends at once.
    """

    kind: Kind
    workers: Annotated[int, Field(ge=1, le=10_000)]
    address: str | None
    accelerators: tuple[str, ...]
    attempts: Annotated[int, Field(ge=1, le=100)]


@dataclass(frozen=True, slots=True)
class Part:
    """One of several runs that share the shards among them, as job arrays do.

    Attributes:
        index: From 1 to `count`.
        count: Runs in all.
    """

    index: int
    count: int

    def of(self, shards: range) -> range:
        """Every `count`-th shard, starting at the index: neighbours differ little in cost."""
        return shards[self.index - 1 :: self.count]

    @staticmethod
    def parse(text: str) -> "Part":
        """`3/16` as a part.

        Raises:
            ParameterError: It is something else.
        """
        index, _, count = text.partition("/")
        if not (index.isascii() and index.isdecimal() and count.isascii() and count.isdecimal()):
            raise ParameterError(f"--part {text}: expected i/N such as 3/16")
        part = Part(int(index), int(count))
        if not 1 <= part.index <= part.count:
            raise ParameterError(f"--part {text}: expected i from 1 to N")
        return part


WHOLE = Part(1, 1)


@dataclass(frozen=True, slots=True)
class Engine:
    """How one run of a stage computes its shards.

    Attributes:
        settings: The section, with what the command line replaced.
        part: Which of them.
    """

    settings: EngineSettings
    part: Part = WHOLE

    @property
    def is_whole(self) -> bool:
        """Whether this run takes all shards, and so publishes what they make together."""
        return self.part.count == 1


SERIAL = Engine(EngineSettings(kind="serial", workers=1, address=None, accelerators=(), attempts=1))


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--engine`, `--workers`, `--address` and `--part` to a stage's command line."""
    group = parser.add_argument_group("engine", "instead of params.yaml's section `engine`, for this run")
    group.add_argument("--engine", choices=KINDS, help="who computes the shards")
    group.add_argument("--workers", type=int, metavar="N", help="processes, or workers of the Dask cluster")
    group.add_argument("--address", help="a Dask scheduler, such as tcp://host:8786")
    group.add_argument(
        "--part", metavar="i/N", help="only this part of the shards; run the stage without --part when all are done"
    )


def read_engine(section: object, arguments: argparse.Namespace) -> Engine:
    """The engine of a run: the section, and over it what the command line says.

    Args:
        section: What params.yaml has as `engine`.
        arguments: Of a parser that `add_engine_arguments` extended.

    Raises:
        ParameterError: A value does not fit, or two do not go together.
    """
    settings = parse_section(EngineSettings, section, "engine")
    given = {"kind": arguments.engine, "workers": arguments.workers, "address": arguments.address}
    plain = settings.model_dump(mode="json") | {name: value for name, value in given.items() if value is not None}
    settings = parse_section(EngineSettings, plain, "command line")
    if settings.address is not None and settings.kind != "dask":
        raise ParameterError(f"engine.address: {settings.address}: only the dask engine takes one; use --engine dask")
    part = WHOLE if arguments.part is None else Part.parse(arguments.part)
    return Engine(settings, part)
