"""State of a training on disk: weights, optimizer and the next step, replaced as a whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from refdiff.whole_file import replacing


@dataclass(frozen=True)
class Checkpoint:
    """A file that training goes on from.

    Every step seeds its own random numbers from (seed, step), so weights, optimizer and step are all there is to keep,
    and an interrupted training ends with the same bits as one that was not.

    Attributes:
        file: The file; it need not be there yet.
        every: Steps between two writes.
    """

    file: Path
    every: int = 100

    def steps(
        self, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer, total: int
    ) -> Iterator[int]:
        """The steps that are still to do; loads the state first and writes it as they are done.

        Args:
            modules: What is trained, by name; changed in place.
            optimizer: Its optimizer; changed in place.
            total: Number of steps in all.
        """
        first = self._load(modules, optimizer)
        for step in range(first, total):
            yield step
            if (step + 1) % self.every == 0 or step + 1 == total:
                self._save(modules, optimizer, step + 1)

    def _load(self, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer) -> int:
        if not self.file.is_file():
            return 0
        state = torch.load(self.file, weights_only=True)
        for name, module in modules.items():
            module.load_state_dict(state["modules"][name])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])

    def _save(self, modules: Mapping[str, torch.nn.Module], optimizer: torch.optim.Optimizer, step: int) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        weights = {name: module.state_dict() for name, module in modules.items()}
        with replacing(self.file) as partial:
            torch.save({"modules": weights, "optimizer": optimizer.state_dict(), "step": step}, partial)
