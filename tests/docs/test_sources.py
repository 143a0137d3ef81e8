"""Every source that the code names in docs/method.md is a section there, and every section is named."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
METHOD = ROOT / "docs/method.md"
# Facts about which there is no formula in the code.
TOLD_ONLY = {"Defects of the released code that refdiff does not repeat"}


def test_sources_are_sections_of_the_document() -> None:
    sections = set(re.findall(r"^## (.+)$", METHOD.read_text(encoding="utf-8"), flags=re.MULTILINE))
    named: set[str] = set()
    for file in ROOT.glob("refdiff/**/*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if "method.md" in line:
                found = re.findall(r'"([^"]+)"', line.split("docs/method.md", 1)[1])
                assert found, f"{file}: names docs/method.md without a section"
                named.update(found)
    assert named <= sections
    assert sections - named <= TOLD_ONLY
