"""How long loops say where they are."""

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Puts a progress bar around some steps, which it hands through; called with the steps and their number."""
