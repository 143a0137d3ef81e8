"""The page in a real browser; where none is installed, test_page.py still reads the page as a parser does."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from refdiff.report.content import Report
from refdiff.report.page import render_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here; tests/report/test_page.py reads the page")


@pytest.fixture(scope="module")
def page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_text(render_page(report), encoding="utf-8")
    return path


def _browse(page: Path, *options: str) -> str:
    assert BROWSER is not None
    command = [BROWSER, *QUIET, f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout


def _photograph(page: Path, width: int, height: int, *options: str) -> NDArray[np.uint8]:
    target = page.parent / "page.png"
    _browse(page, f"--screenshot={target}", f"--window-size={width},{height}", *options)
    with Image.open(target) as image:
        return np.asarray(image.convert("RGB"))


def test_no_script_of_a_dataset_runs_and_the_page_is_whole(page: Path) -> None:
    document = _browse(page, "--dump-dom")
    assert "<script" not in document
    assert document.rstrip().endswith("</html>")
    assert document.count("<article") == 6
    assert 'alert("1")' in document


def test_it_is_light_and_dark(page: Path) -> None:
    light = _photograph(page, 900, 600)
    dark = _photograph(page, 900, 600, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
    assert light[-1, 2].min() > 200
    assert dark[-1, 2].max() < 60


def test_nothing_hangs_over_a_phones_edge(page: Path) -> None:
    probe = page.with_name("probe.html")
    script = "<script>document.title = 'width ' + document.documentElement.scrollWidth</script></body>"
    text = page.read_text(encoding="utf-8")
    policy = text[text.index('<meta http-equiv="Content-Security-Policy"') :]
    text = text.replace(policy[: policy.index(">") + 1], "").replace("</body>", script)
    frame = '<!doctype html><title>x</title><iframe id="f" src="probe.html" width="390" height="800"></iframe>'
    probe.write_text(text, encoding="utf-8")
    outer = page.with_name("outer.html")
    reader = (
        "<script>f.onload = () => { document.title = f.contentDocument.title;"
        " document.documentElement.dataset.done = f.contentDocument.title }</script>"
    )
    outer.write_text(frame + reader, encoding="utf-8")
    document = _browse(outer, "--dump-dom", "--allow-file-access-from-files", "--virtual-time-budget=4000")
    assert 'data-done="width 390"' in document
