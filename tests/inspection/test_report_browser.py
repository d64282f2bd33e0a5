"""The report in a browser: reading, filtering, searching, keys, and hostile text."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from inspection.report import __main__ as report
from pipelines import refine
from tests.loopback import Answer, Body, serving
from tests.pipelines import rounds
from tests.schemas import variants

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium or chromedriver is not there"),
]

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1360,900",
]

MARKUP = (
    "</script><script>document.title='run'</script><!-- <img src='https://example.com/x.png' "
    "onerror=\"document.title='run'\"> </textarea></style> {{ 7*7 }} &lt;b&gt; \u2028\u2029"
)
UNSEEN = "\x1b[31m\x00\x07\u202eback\u202c\u200b\u200f\ufeff end"
RTL = "مرحبا بالعالم, the مثال is שלום."
HUGE = "long שלום " * 120_000


def hostile(body: Body) -> Answer:
    """Answers that try to be more than text; a refinement passes when it is at depth 2."""
    said = {
        "actor": f"{MARKUP}\n{UNSEEN}\n{RTL} first",
        "judge": f"{MARKUP} Final Judgement: No",
        "refine": f"{MARKUP}[[start]]{MARKUP}\n{UNSEEN}\n{RTL} second[[end]]",
    }
    first, last = (body["messages"][i]["content"] for i in (0, -1))
    answer = said[rounds.role(body)]
    if rounds.role(body) == "judge" and "second" in last:
        answer = answer.replace("No", "Yes")
    if "huge" in first:
        answer = answer.replace("first", f"{HUGE}first").replace("second", f"{HUGE}second")
    return [answer] * body["n"]


class Page:
    """A page in the browser, and what is asked of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, file: Path, fragment: str = "") -> None:
        self.driver.get("about:blank")
        for kind in ("browser", "performance"):
            self.driver.get_log(kind)
        self.driver.get(file.as_uri() + fragment)
        self.until(lambda: self.js("return document.documentElement.dataset.ready"))

    def js(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def until(self, met: Callable[[], Any]) -> Any:
        end = time.monotonic() + 120
        while not (found := met()):
            assert time.monotonic() < end, "the page does not come to it"
            time.sleep(0.02)
        return found

    def keys(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def text(self, selector: str) -> str:
        return str(self.js(f"return document.querySelector({json.dumps(selector)}).textContent"))

    def count(self, selector: str) -> int:
        return int(self.js(f"return document.querySelectorAll({json.dumps(selector)}).length"))

    def set(self, name: str, value: str) -> None:
        """Fill in a field and wait for the list that comes of it."""
        asked = int(self.js("return document.documentElement.dataset.asked"))
        self.js(
            f"""const field = document.getElementById('filters').elements[{name!r}];
            field.value = {value!r};
            field.dispatchEvent(new Event('input', {{bubbles: true}}));"""
        )
        self.until(lambda: int(self.js("return document.documentElement.dataset.asked")) > asked)

    def press(self, key: str) -> None:
        self.keys(getattr(webdriver.Keys, key))

    def listed(self) -> list[str]:
        rows: list[str] = self.js(
            "return [...document.querySelectorAll('.row .ask')].map((row) => row.textContent)"
        )
        return rows

    def wait_for_pair(self, part: str) -> None:
        self.until(lambda: part in (self.js("return document.getElementById('detail').innerText")))

    def requests(self) -> list[str]:
        events = [json.loads(line["message"])["message"] for line in self._log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def errors(self) -> list[Any]:
        return self._log("browser")

    def _log(self, kind: str) -> list[Any]:
        found: list[Any] = self.driver.get_log(kind)
        return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Page(driver)
    driver.quit()


@pytest.fixture(scope="module")
def plain(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an ordinary run."""
    output = tmp_path_factory.mktemp("plain") / "report.html"
    assert report.main(["--run", str(finished_run), "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose texts, prompts included, try to break out."""
    folder = tmp_path_factory.mktemp("nasty")
    prompts = rounds.write_prompts(
        folder / "prompts.jsonl", [f"{MARKUP} {UNSEEN} {RTL}", f"huge {HUGE}"]
    )
    run = folder / "<b>run"
    with serving(hostile) as server:
        assert refine.main(rounds.command(run, prompts, server.url)) == 0
    assert report.main(["--run", str(run), "--output", str(folder / "report.html")]) == 0
    return folder / "report.html"


def test_the_overview_comes_first(page: Page, plain: Path) -> None:
    page.open(plain)
    assert page.text("h1") == "8 preference pairs from 12 prompts"
    assert page.count(".chart svg") >= 8
    assert page.js("return document.getElementById('pairs').hidden")
    page.js(
        """document.querySelector('[aria-roledescription=bar]')
        .dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))"""
    )
    assert page.text("#tip").startswith("iteration 1")
    assert page.errors() == []


def test_pairs_are_filtered_and_searched(page: Page, plain: Path) -> None:
    page.open(plain, "#pairs")
    assert page.text("#count") == "8 pairs"
    everything = page.listed()
    assert len(everything) == 8
    page.set("depth", "1")
    assert page.text("#count") == "3 of 8 pairs"
    page.set("depth", "")
    page.set("similarity-min", "1")
    assert page.text("#count") == "0 of 8 pairs"
    page.wait_for_pair("No pair fits")
    page.set("similarity-min", "0.1")
    page.set("value-min", "0.6")
    page.set("length-max", "1000")
    page.set("iteration", "1")
    assert page.text("#count") == "8 pairs"
    page.set("order", "least")
    assert sorted(page.listed()) == sorted(everything)
    page.js("document.querySelector('#filters button[type=reset]').click()")
    page.until(lambda: page.listed() == everything)
    page.keys("/")
    page.until(lambda: page.js("return document.activeElement.id === 'search'"))
    page.keys("PROMPT 3: better")
    page.until(lambda: page.text("#count") == "1 of 8 pairs")
    assert page.listed() == ["Prompt 3: one line, please."]
    page.press("ENTER")
    assert page.js("return document.activeElement.id") == "list"
    assert page.js("return CSS.highlights.get('found').size") > 0
    assert page.errors() == []


def test_keys_move_through_pairs_and_open_them(page: Page, plain: Path) -> None:
    page.open(plain, "#pairs")
    page.js("document.getElementById('list').focus()")
    selected = "[aria-selected=true] .ask"
    assert page.text(selected) == "Prompt 0: one line, please."
    page.keys("j", "j", "k")
    page.press("ARROW_DOWN")
    assert page.text(selected) == "Prompt 2: one line, please."
    assert (
        page.js(
            "return document.getElementById(document.getElementById('list')"
            ".getAttribute('aria-activedescendant')).ariaSelected"
        )
        == "true"
    )
    page.wait_for_pair("Pair 3 of 8")
    page.press("ENTER")
    page.until(lambda: page.js("return document.activeElement.id === 'detail'"))
    assert page.js("return location.hash").startswith("#pair=i1.")
    assert page.count("#detail ins") > 0
    assert page.count("#detail del") > 0
    before = page.text("#detail .text:not(.prompt)")
    page.keys("m")
    assert page.count("#detail .side .text") == 2
    assert page.text("#detail .side .text") != before
    page.keys("m")
    page.keys("j")
    page.wait_for_pair("Pair 4 of 8")
    page.press("ESCAPE")
    assert page.js("return document.activeElement.id") == "list"
    page.keys("?")
    assert page.js("return document.getElementById('help').open")
    page.press("ESCAPE")
    assert not page.js("return document.getElementById('help').open")
    assert page.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.errors() == []


def test_a_tree_opens_node_by_node(page: Page, plain: Path, finished_run: Path) -> None:
    page.open(plain, "#pairs")
    page.until(lambda: page.count(".node"))
    pair = page.js("return document.querySelector('#detail .id').textContent")
    nodes = rounds.query(
        finished_run,
        f"""select n.response, reflection, critique, n.node_id = p.chosen_node_id as chosen
        from nodes n join pairs p using (tree_id) where pair_id = '{pair}' order by "order" """,
    )
    assert page.count(".node") == len(nodes)
    assert page.count(".chosen-node") == 1
    chosen = next(number for number, node in enumerate(nodes) if node[3])
    page.js(f"document.querySelector('[data-node=\"{chosen}\"]').focus()")
    page.press("ENTER")
    page.until(lambda: page.count(".panel"))
    said = page.text(".panel")
    for part in nodes[chosen][1:3]:
        assert part in said
    assert page.count(".panel .vote") == 5
    page.js("document.querySelector('.vote summary').click()")
    page.until(lambda: page.count(".vote .text"))
    assert "Final Judgement" in page.text(".vote .text")
    page.press("ESCAPE")
    assert page.count(".panel") == 0
    assert page.js("return document.activeElement.dataset.node") == str(chosen)
    assert page.errors() == []


def test_hostile_text_is_text(page: Page, nasty: Path) -> None:
    page.open(nasty, "#pairs")
    page.wait_for_pair("second")
    assert page.js("return document.title") == "<b>run · SPaR report"
    detail = page.text("#detail")
    shown = MARKUP.replace("\u2028\u2029", "U+2028U+2029")
    assert detail.count(shown) >= 2, "in the prompt and in the pair"
    assert "ESC[31mNULBELU+202EbackU+202CU+200BU+200FU+FEFF end" in detail
    assert RTL in detail
    assert page.js(
        "return [...document.querySelectorAll('.text')].every((block) => block.dir === 'auto')"
    )
    page.until(lambda: page.count(".node"))
    page.js("document.querySelector('.node').dispatchEvent(new MouseEvent('click'))")
    page.until(lambda: page.count(".panel"))
    page.js("document.querySelectorAll('.vote summary').forEach((vote) => vote.click())")
    page.until(lambda: page.count(".vote .text") == 5)
    assert shown in page.text(".vote .text")
    assert page.count("img, iframe, object, embed, form:not(#filters, #help form)") == 0
    assert page.count("script:not([type])") == 1
    page.set("search", "</script><script>document.title")
    assert page.text("#count") == "2 pairs"
    assert page.errors() == []


def test_a_line_of_a_megabyte_is_cut_until_asked_for(page: Page, nasty: Path) -> None:
    page.open(nasty, "#pairs")
    page.set("search", "huge")
    page.wait_for_pair("Show all 1,200,")
    assert len(page.text("#detail")) < 100_000
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    page.js("document.querySelector('#detail .all').click()")
    assert len(page.text("#detail .prompt")) == len(f"huge {HUGE}")
    assert page.errors() == []


def test_nothing_is_asked_of_the_network(page: Page, plain: Path, nasty: Path) -> None:
    for file in (plain, nasty):
        page.open(file, "#pairs")
        page.until(lambda: page.count(".node"))
        page.set("search", "answer")
        page.js("fetch('https://example.com/').catch(() => 0)")
        urls = page.requests()
        assert file.as_uri() in {url.partition("#")[0] for url in urls}
        assert [url for url in urls if not url.startswith(("file:", "data:", "blob:"))] == []
        refused = [error["message"] for error in page.errors()]
        assert refused, "and nothing could be"
        assert all("Content Security Policy" in message for message in refused), refused


def test_a_run_without_pairs_can_be_opened(page: Page, tmp_path: Path, prompts: Path) -> None:
    def nothing_passes(body: Body) -> Answer:
        said = "Final Judgement: No" if rounds.role(body) == "judge" else "[[start]] no [[end]]"
        return [said] * body["n"]

    with serving(nothing_passes) as server:
        assert refine.main(rounds.command(tmp_path / "run", prompts, server.url)) == 0
    assert report.main(["--run", str(tmp_path / "run"), "--output", str(tmp_path / "r.html")]) == 0
    page.open(tmp_path / "r.html", "#pairs")
    assert page.text("#detail") == "No pairs yet: no search is solved."
    assert page.text("#count") == "0 pairs"
    assert page.errors() == []


def test_variants_and_methods_are_named_and_filtered_by(page: Page, tmp_path: Path) -> None:
    variants.write(str(tmp_path / "run"))
    assert report.main(["--run", str(tmp_path / "run"), "--output", str(tmp_path / "r.html")]) == 0
    page.open(tmp_path / "r.html", "#pairs")
    page.until(page.listed)
    facts = "return [...document.querySelectorAll('.facts')].map((row) => row.textContent)"
    assert "0.50 similar · ±0 chars · main · independent" in page.js(facts)
    assert "0.90 similar · depth 1 · +4 chars · dfs · spar" in page.js(facts)
    page.set("variant", "dfs")
    page.until(lambda: page.text("#count") == "2 of 5 pairs")
    page.set("variant", "")
    page.set("method", "independent")
    page.until(lambda: page.text("#count") == "1 of 5 pairs")
    page.wait_for_pair("Pair 1 of 1")
    page.wait_for_pair("independent")
    detail = page.text("#detail")
    assert page.count(".node") == 0
    for word in ("Depth", "Refinements tried", "Tokens of the search", "The search"):
        assert word not in detail
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.driver.save_screenshot(f"{folder}/variants.png")
    assert page.errors() == []


def test_one_variant_and_method_are_no_filter(page: Page, plain: Path) -> None:
    page.open(plain, "#pairs")
    page.js("document.getElementById('more').open = true")
    shown = "return [...document.querySelectorAll('.fields label')].filter((l) => l.offsetWidth)"
    labels = page.js(f"{shown}.map((label) => label.firstChild.textContent.trim())")
    assert "Iteration" in labels
    assert not {"Variant", "Method"} & set(labels)
    facts = page.js("return document.querySelector('.facts').textContent")
    assert "main" not in facts and "spar" not in facts


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_read_in_light_and_dark(page: Page, plain: Path, theme: str) -> None:
    page.open(plain)
    while page.text("#theme") != f"Theme: {theme}":
        page.js("document.getElementById('theme').click()")
    contrast = page.js(
        """const light = (colour) => {
          const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => {
            c /= 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
          });
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = light(getComputedStyle(document.body).backgroundColor);
        const places = ['body', '.note', 'figcaption', '.word.bad', '.word.good', '.chart text'];
        return places.map((at) => {
          const style = getComputedStyle(document.querySelector(at));
          const ink = light(at.endsWith('text') ? style.fill : style.color);
          return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        });"""
    )
    assert min(contrast) > 4.5, contrast
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.driver.save_screenshot(f"{folder}/overview-{theme}.png")
