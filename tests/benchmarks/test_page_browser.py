"""index.html in a real browser: it sorts, filters, answers, leads to records, and asks for nothing but its plots.

Needs the package playwright and a Chromium that is installed already; no browser is downloaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from benchmarks.report.page.document import write_page
from metrics import SCORES
from tests.benchmarks.test_page import GFLOPS, HOSTILE, METHODS, hostile_suite, two_suites

sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
CHROMIUM = next((path for name in ("chromium", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="neither chromium nor google-chrome is installed")
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DOMAIN, TASK = "#s0t0", "#s0t1"
Open = Callable[..., "sync_api.Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> str:
    return write_page(tmp_path_factory.mktemp("page"), two_suites()).as_uri()


@pytest.fixture
def open_page(browser, address) -> Iterator[Open]:
    """Opens the page; when the test is over, nothing may have been said on a console or asked of any network."""
    contexts, tabs, complaints, requests, expected = [], [], [], [], set()

    def opened(hash: str = "", url: str = address, asks: Sequence[str] = (), **options) -> sync_api.Page:
        contexts.append(browser.new_context(**options))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url.partition("#")[0]))
        tab.goto(url + hash)
        tabs.append(tab)
        expected.update(asks)
        return tab

    yield opened
    assert complaints == []
    assert {own for own in requests if not own.startswith("data:")} == expected | {
        own.url.partition("#")[0] for own in tabs
    }
    for context in contexts:
        context.close()


def choose(tab: sync_api.Page, label: str, choice: str) -> None:
    tab.get_by_role("combobox", name=label, exact=True).select_option(choice)


def methods(tab: sync_api.Page, table: str = DOMAIN) -> list[str]:
    """The names in the first column, from top to bottom, of the rows that can be seen."""
    names = tab.locator(f"{table} tbody tr:visible > td:first-child").all_inner_texts()
    return [name.replace("\u00a0", " ") for name in names]


def unfold(tab: sync_api.Page) -> None:
    tab.get_by_text("Filters and budget").click()


RANKED = sorted((m for m in METHODS if m not in ("joint", "finetune")), key=lambda m: -METHODS[m])
ORDER = ["joint (upper)", *RANKED, "pnn", "finetune (lower)"]


def test_opens_as_the_tables_were_written(open_page):
    tab = open_page()
    assert methods(tab) == ORDER
    assert tab.locator("#s1").is_hidden()
    assert tab.locator("#count").text_content() == "14 of 14 rows shown."


def test_best_method_under_a_flops_budget(open_page):
    """One choice is the budget: the best method stands on top, and its name leads to its records."""
    tab = open_page()
    unfold(tab)
    assert tab.locator("#max option").all_inner_texts() == ["any", "2 GFLOP", "3 GFLOP", "4 GFLOP"]
    choose(tab, "Cost at most", "3")
    within = max((m for m in RANKED if GFLOPS[m] <= 3), key=METHODS.get)
    assert within == "lwf"
    assert methods(tab) == ["lwf", "ewc", "finetune (lower)"]
    tab.locator(DOMAIN).get_by_role("link", name="lwf").first.click()
    assert tab.locator("li:target:visible").inner_text().startswith("lwf: seeds 0, 1, 2;")
    choose(tab, "Cost", "memory")
    assert tab.locator("#max").input_value() == "", "a budget is of one cost"


@pytest.mark.parametrize(
    ("label", "choice", "left"),
    [
        ("Method family", "projection", ["gem"]),
        ("Keeps a buffer", "yes", ["gem", "er"]),
        ("Needs task id", "yes", ["pnn"]),
        ("Scenario", "split-digits/domain", ORDER),
        ("Setting", "domain", ORDER),
    ],
)
def test_filters(open_page, label, choice, left):
    tab = open_page()
    unfold(tab)
    choose(tab, label, choice)
    assert methods(tab) == left
    assert tab.locator(TASK).is_hidden() == (label in ("Scenario", "Setting"))


def test_another_suite_has_its_own_rows_and_choices(open_page):
    tab = open_page()
    unfold(tab)
    choose(tab, "Setting", "task")
    choose(tab, "Suite", "1")
    assert tab.locator("#s0").is_hidden()
    assert tab.locator("#count").inner_text() == "1 of 1 rows shown."


def test_the_address_keeps_the_suite_and_nothing_else(open_page):
    tab = open_page()
    choose(tab, "Metric", "bwt")
    choose(tab, "Suite", "1")
    again = open_page(url=tab.url)
    assert again.locator("#s0").is_hidden()
    assert again.locator("#s1").is_visible()
    assert again.get_by_role("combobox", name="Metric").input_value() == "acc"
    again.goto(tab.url.partition("#")[0] + "#s0t1r1")
    assert again.locator("#s1").is_hidden()
    assert again.locator("li:target:visible").count() == 1


def test_sorts_best_first_then_worst_first_then_as_it_was(open_page):
    tab = open_page()
    tab.get_by_label("all columns").check()
    head = tab.locator(f"{DOMAIN} thead").get_by_role("button", name="training")
    by_cost = sorted(METHODS, key=GFLOPS.get)
    names = [{"joint": "joint (upper)", "finetune": "finetune (lower)"}.get(m, m) for m in by_cost]
    head.click()
    assert methods(tab) == [*names, "pnn"]
    assert tab.locator(f"{DOMAIN} th[aria-sort]").get_attribute("aria-sort") == "ascending"
    head.press("Enter")
    assert methods(tab) == [*names[::-1], "pnn"]
    assert tab.locator(f"{DOMAIN} th[aria-sort]").get_attribute("aria-sort") == "descending"
    head.press("Enter")
    assert methods(tab) == ORDER
    tab.locator(f"{DOMAIN} thead").get_by_role("button", name="method").click()
    assert methods(tab) == sorted(ORDER)


def test_metric_is_chosen_and_explained(open_page):
    tab = open_page()
    choose(tab, "Metric", "fm.mean")
    head = tab.locator(f"{DOMAIN} thead th:visible").nth(1)
    assert head.inner_text().startswith("FM (fm.mean), pp")
    assert SCORES["fm.mean"].formula in head.get_attribute("title")
    assert methods(tab)[:2] == ["joint (upper)", "gem"], "by the metric, bounds at the ends"


def test_a_name_leads_to_the_records_of_its_row(open_page):
    tab = open_page()
    tab.locator(DOMAIN).get_by_role("link", name="er", exact=True).first.click()
    item = tab.locator("li:target:visible").inner_text()
    assert item == (
        "er: seeds 0, 1, 2; python -m benchmarks run first --scenarios split-digits/domain --methods er --seeds 3"
    )
    tab.locator(DOMAIN).get_by_role("link", name="pnn", exact=True).first.click()
    assert tab.locator("li:target:visible").inner_text() == "pnn: no record"


def test_reset_shows_everything_again(open_page):
    tab = open_page()
    unfold(tab)
    choose(tab, "Method family", "projection")
    choose(tab, "Cost at most", "2")
    assert "Nothing fits" in tab.locator("#count").inner_text()
    tab.get_by_role("button", name="Reset").click()
    assert methods(tab) == ORDER


def test_plots_beside_the_page_are_shown(open_page, tmp_path):
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="680" height="400"><rect width="9" height="9"/></svg>'
    (tmp_path / "a b.svg").write_text(drawing)
    suite = replace(two_suites()[0], plots={"split-digits/domain": [("Cost", "a%20b.svg")] * 2})
    url = write_page(tmp_path, [suite]).as_uri()
    tab = open_page(url=url, asks=[url.replace("index.html", "a%20b.svg")], viewport={"width": 1280, "height": 900})
    shown = tab.locator(f"{DOMAIN} img:visible")
    assert shown.count() == 1, "the others are folded away"
    assert shown.evaluate("img => img.decode().then(() => img.naturalWidth)") == 680
    table, plot = tab.locator(f"{DOMAIN} table").bounding_box(), shown.bounding_box()
    assert plot["x"] > table["x"] + table["width"]
    assert plot["y"] < table["y"] + table["height"]
    hint = "figure => getComputedStyle(figure, '::before').content"
    figure = tab.locator(f"{DOMAIN} figure:visible")
    assert figure.evaluate(hint) == "none"
    tab.set_viewport_size({"width": 390, "height": 800})
    assert figure.evaluate("figure => figure.scrollWidth > figure.clientWidth")
    assert "swipe" in figure.evaluate(hint)


def test_fits_a_phone_with_filters_folded_away(open_page):
    tab = open_page(viewport={"width": 390, "height": 800}, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator("#setting").is_hidden()
    assert tab.locator("#metric").is_visible()
    assert tab.locator(f"{DOMAIN} table").bounding_box()["y"] < 800, "on the first screen"
    unfold(tab)
    choose(tab, "Setting", "domain")
    assert tab.locator("#controls summary").inner_text() == "Filters and budget (1 set)"
    tab.locator(DOMAIN).get_by_role("link", name="er", exact=True).first.click()
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_few_columns_until_all_are_asked_for(open_page):
    tab = open_page()
    heads = tab.locator(f"{DOMAIN} thead th:visible")
    assert [text.partition(",")[0] for text in heads.all_inner_texts()] == ["method", "ACC", "training"]
    tab.get_by_label("all columns").check()
    assert heads.count() == 11


def test_notes_are_those_of_what_is_shown(open_page):
    tab = open_page()
    notes = tab.locator(f"{DOMAIN} .notes li:visible")
    training, memory, absent = "adds up the trainings", "leaves out the training data", "n/a: PNN needs the task id"

    def shown() -> list[bool]:
        texts = "\n".join(notes.all_inner_texts())
        return [text in texts for text in (training, memory, absent)]

    assert shown() == [True, False, True]
    choose(tab, "Cost", "memory")
    assert shown() == [False, True, True]
    tab.get_by_label("all columns").check()
    assert shown() == [True, True, True]
    unfold(tab)
    choose(tab, "Method family", "projection")
    assert shown() == [False, False, False]
    tab.locator("#reset").click()
    tab.get_by_label("all columns").uncheck()
    assert shown() == [True, False, True]


def test_tables_stand_without_javascript(open_page):
    tab = open_page(java_script_enabled=False)
    assert tab.locator("table:visible").count() == 3
    assert tab.locator("#controls").is_hidden()
    assert tab.locator("#s0t0 .notes li:visible").count() == tab.locator("#s0t0 .notes li").count() > 2
    assert tab.locator("#s0t0 tbody td:first-child").all_inner_texts()[1] == "gem"


def test_names_cannot_break_the_page(open_page, tmp_path):
    tab = open_page(url=write_page(tmp_path, [hostile_suite()], title="Hostile").as_uri())
    tab.locator("#s0t0 tbody td a").nth(1).click()
    assert HOSTILE in tab.locator("li:target:visible").inner_text()
    assert tab.title() == "Hostile"
    assert tab.locator("img").count() == 0
