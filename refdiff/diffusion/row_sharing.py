"""Rows of a batch that start from the same latent: what does not depend on the text is computed once for them.

Before the first cross-attention a U-Net sees latent and timestep only, so the sentences of a photo, and the two passes
of classifier-free guidance, go through the same numbers there: at 1024 pixels the largest self-attention of all. Which
of the model's modules these are is not read off a list of architectures but found by running its configuration without
weights; a module that is not surely of the kind runs on every row, as it would anyway.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from refdiff.diffusion.layers import build_on_meta, run_on_meta

# Rows of the trial: a number that is no width of any network.
_TRIAL_ROWS = 7


def find_text_free(unet_config: Mapping[str, Any], latent_px: int) -> tuple[str, ...]:
    """Names of the largest modules whose output does not depend on the text, in running order.

    The architecture runs on torch's meta device with gradients asked for of the text alone: an output that carries
    none does not depend on it. Modules of the time embedding, which are not worth sharing, are left out; so are those
    whose inputs and outputs are not all tensors with the batch in front.

    Args:
        unet_config: The U-Net's configuration.
        latent_px: Side of the latent.

    Raises:
        ModelError: The architecture cannot be built or run from it.
    """
    free: dict[str, bool] = {}

    def watch(name: str) -> Callable[..., None]:
        def note(_module: nn.Module, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
            outputs = list(_tensors(output))
            alike = all(len(tensor) == _TRIAL_ROWS for tensor in _tensors((args, kwargs, output)) if tensor.ndim)
            pays = bool(outputs) and all(tensor.ndim > 2 for tensor in outputs)
            depends = any(tensor.requires_grad for tensor in outputs)
            free[name] = free.get(name, True) and alike and pays and not depends

        return note

    unet = build_on_meta(unet_config)
    for name, module in unet.named_modules():
        if name:
            module.register_forward_hook(watch(name), with_kwargs=True)
    run_on_meta(unet, latent_px, rows=_TRIAL_ROWS, text_gradients=True)
    names = [name for name, is_free in free.items() if is_free]
    return tuple(name for name in names if not any(name.startswith(f"{other}.") for other in names))


class RowSharing:
    """Which rows of the next U-Net pass start from the same latent."""

    def __init__(self) -> None:
        self._first: torch.Tensor | None = None
        self._latent_of: torch.Tensor | None = None
        self._rows = 0

    def expect(self, latent_of: Sequence[int], device: torch.device) -> None:
        """Say which latent each row of the next pass has, as indices 0, 1, ... without a gap."""
        self._rows = len(latent_of)
        distinct = len(set(latent_of))
        if distinct == self._rows:
            self._first = self._latent_of = None
            return
        self._first = torch.tensor([latent_of.index(latent) for latent in range(distinct)], device=device)
        self._latent_of = torch.tensor(latent_of, device=device)

    def narrow(self, _module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]] | None:
        """Hook before a module: one row for each latent."""
        first = self._first
        if first is None:
            return None
        return _map_tensors((args, kwargs), lambda tensor: tensor[first] if self._is_batch(tensor) else tensor)

    def widen(self, _module: nn.Module, _args: tuple, output: Any) -> Any:
        """Hook behind a module: every row again."""
        latent_of = self._latent_of
        return output if latent_of is None else _map_tensors(output, lambda tensor: tensor[latent_of])

    def _is_batch(self, tensor: torch.Tensor) -> bool:
        return tensor.ndim > 0 and len(tensor) == self._rows


@contextmanager
def share_rows(unet: nn.Module, text_free: Sequence[str]) -> Iterator[RowSharing]:
    """Make some modules of a U-Net work on one row for each latent; they are as before at the end, also on errors.

    Args:
        unet: The U-Net, in evaluation mode.
        text_free: What `find_text_free` found.
    """
    sharing, handles = RowSharing(), []
    modules = dict(unet.named_modules())
    try:
        for name in text_free:
            handles.append(modules[name].register_forward_pre_hook(sharing.narrow, with_kwargs=True))
            handles.append(modules[name].register_forward_hook(sharing.widen))
        yield sharing
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _tensors(each)


def _map_tensors(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: _map_tensors(each, change) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_map_tensors(each, change) for each in value)
    return value
