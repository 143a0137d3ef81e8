"""Ranges of dependencies have two ends, and the exact versions that are shipped lie between them."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [Requirement(text) for text in PROJECT["dependencies"]]
TRIED = [Requirement(text) for extra in EXTRAS.values() for text in extra if not text.startswith("refdiff[")]
PINNED = dict(
    line.split("==")
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


@pytest.mark.parametrize("requirement", [*NEEDED, *TRIED], ids=lambda each: each.name)
def test_a_range_has_two_ends(requirement: Requirement) -> None:
    assert sorted(each.operator for each in requirement.specifier) == ["<", ">="]


@pytest.mark.parametrize("requirement", [*NEEDED, *TRIED], ids=lambda each: each.name)
def test_the_exact_version_lies_in_the_range(requirement: Requirement) -> None:
    pinned = {canonicalize_name(name): version for name, version in PINNED.items()}
    if requirement.name in ("ruff", "pyright"):  # tools of developers, which no result depends on
        assert requirement.name not in pinned
    else:
        assert pinned[canonicalize_name(requirement.name)] in requirement.specifier
