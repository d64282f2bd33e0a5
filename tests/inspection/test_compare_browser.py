"""The comparison in a browser, as the system is set to light or dark."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inspection.compare import __main__ as compare
from tests.committed import commit, pair
from tests.inspection.evaluated import figure, half
from tests.inspection.test_compare_page import said_of, searched
from tests.inspection.test_report_browser import CHROMIUM, DRIVER, FLAGS

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not there"),
]

CONTRAST = """
const light = (colour) => {
  const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => {
    c /= 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = light(getComputedStyle(document.body).backgroundColor);
const places = ['body', 'td', 'thead th:last-child', 'caption', '.word.bad'];
return [...places, ...arguments].map((at) => {
  const style = getComputedStyle(document.querySelector(at));
  const ink = light(at.endsWith('text') ? style.fill : style.color);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
});"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield found
    found.quit()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two runs with everything that a comparison can have."""
    folder = tmp_path_factory.mktemp("compared")
    for name, more in (("a", 0), ("b", 4)):
        run = folder / name
        for decoder, budgets in (("bfs", (1, 4, 16)), ("best_of_n", (1, 4))):
            for budget in budgets:
                commit(run, "evaluations", searched(decoder, budget, 20 + budget + more))
        for iteration in (1, 2):
            commit(run, "evaluations", said_of(8 * iteration + more), iteration=iteration)
    commit(folder / "b", "evaluations", [figure("average", [None, *half(49, 9)])], iteration=2)
    runs = [str(folder / name) for name in ("a", "b")]
    output = folder / "compare.html"
    assert compare.main(["--runs", *runs, "--parts", "--output", str(output)]) == 0
    return output


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_read_in_light_and_dark_without_a_network(
    driver: Any, file: Path, theme: str
) -> None:
    _open(driver, file, theme)
    assert min(driver.execute_script(CONTRAST, "figcaption", ".chart text")) > 4.5
    assert driver.execute_script("return document.querySelectorAll('.chart svg').length") == 4
    _is_sound(driver, file, "compare", theme)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_methods_are_read_in_light_and_dark(driver: Any, tmp_path: Path, theme: str) -> None:
    run, output = tmp_path / "run", tmp_path / "methods.html"
    commit(run, "pairs", [pair(number) for number in range(4)])
    commit(run, "pairs", [pair(number, "independent") for number in range(2)])
    argv = ["--by", "method", "--runs", str(run), "--output", str(output)]
    assert compare.main(argv) == 0
    _open(driver, output, theme)
    assert min(driver.execute_script(CONTRAST)) > 4.5
    rows = "return [...document.querySelectorAll('tbody th')].map((cell) => cell.innerText)"
    assert driver.execute_script(rows) == [*["spar", "independent"] * 2, "independent"]
    _is_sound(driver, output, "methods", theme)


def _open(driver: Any, file: Path, theme: str) -> None:
    """Open a page as the system is set, and forget what the browser said before."""
    features = [{"name": "prefers-color-scheme", "value": theme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get("about:blank")
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(file.as_uri())


def _is_sound(driver: Any, file: Path, name: str, theme: str) -> None:
    """The page is as wide as the window, asks no network, and the browser says nothing of it."""
    paper = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(19, 21, 24)") is (theme == "dark")
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    events = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}
    assert driver.get_log("browser") == []
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        metrics = driver.execute_cdp_cmd("Page.getLayoutMetrics", {})
        driver.set_window_size(1360, min(6000, int(metrics["cssContentSize"]["height"]) + 200))
        driver.save_screenshot(f"{folder}/{name}-{theme}.png")
