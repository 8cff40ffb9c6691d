"""The report in a real Chromium: what a person would see, and that nothing leaves the page."""

import shutil

import pytest
from patience import PATIENCE
from run_directories import make_finetuning, make_pretraining, make_probe

from mae.report.page import write_page
from mae.report.run_files import RunFiles

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        milliseconds = 1000 * PATIENCE
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=milliseconds)


@pytest.mark.parametrize("width", [1280, 420])
def test_curves_are_seen_and_nothing_is_asked_for(browser, tmp_path, width):
    runs = [make_pretraining(tmp_path / "one"), make_finetuning(tmp_path / "two"), make_probe(tmp_path / "three")]
    output = tmp_path / "page.html"
    write_page([RunFiles(run) for run in runs], output)
    requests, said = [], []
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.set_default_timeout(1000 * PATIENCE)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(output.as_uri())
    page.wait_for_load_state("networkidle")
    page.screenshot(path=str(tmp_path / "report.png"), full_page=True)
    assert said == []
    assert [url for url in requests if not url.startswith("data:")] == [output.as_uri()]
    for curve in ("curve-loss-0", "curve-loss-1", "curve-val_top1-1", "curve-something_new-0"):
        box = page.locator(f"[id={curve}] path").first.bounding_box()
        assert box is not None
        assert box["width"] > 10
    shown = page.eval_on_selector_all("img", "images => images.map(image => image.complete && image.naturalWidth > 0)")
    assert len(shown) > 5
    assert all(shown)
    # Wide things scroll within their cards.
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert (tmp_path / "report.png").stat().st_size > 20_000
