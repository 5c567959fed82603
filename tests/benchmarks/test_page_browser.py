"""index.html in a real browser: it sorts, filters, answers, opens rows, keeps its address, and asks for nothing else.

Needs the package playwright and a Chromium that is installed already; no browser is downloaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from benchmarks.report.page import write_page
from metrics import SCORES
from tests.benchmarks.test_page import GFLOPS, HOSTILE, METHODS, hostile_suite, page_suite, two_suites
from tests.benchmarks.test_report_fixtures import planted, shifted

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
    contexts, tabs, complaints, requests = [], [], [], []

    def opened(hash: str = "", url: str = address, **options) -> sync_api.Page:
        contexts.append(browser.new_context(**options))
        tab = contexts[-1].new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: requests.append(request.url.partition("#")[0]))
        tab.goto(url + hash)
        tabs.append(tab)
        return tab

    yield opened
    assert complaints == []
    assert {own for own in requests if not own.startswith("data:")} == {own.url.partition("#")[0] for own in tabs}
    for context in contexts:
        context.close()


def choose(tab: sync_api.Page, label: str, choice: str) -> None:
    tab.get_by_role("combobox", name=label, exact=True).select_option(choice)


def methods(tab: sync_api.Page, table: str = DOMAIN) -> list[str]:
    """The names in the first column, from top to bottom, of the rows that can be seen."""
    return tab.locator(f"{table} tbody tr:visible > th button").all_inner_texts()


def answers(tab: sync_api.Page) -> list[list[str]]:
    return [row.locator("th, td").all_inner_texts() for row in tab.locator("#answer tbody tr").all()]


RANKED = sorted((m for m in METHODS if m not in ("joint", "finetune")), key=lambda m: -METHODS[m])
ORDER = ["joint (upper)", *RANKED, "pnn", "finetune (lower)"]


def test_opens_as_the_tables_were_written(open_page):
    tab = open_page()
    assert methods(tab) == ORDER
    assert tab.locator("#s1").is_hidden()
    assert tab.locator("#count").inner_text() == "14 of 15 rows shown."


def test_best_method_under_a_flops_budget_in_two_clicks(open_page):
    """The first click is a budget, and the answer stands there; the second opens all that is known of it."""
    tab = open_page()
    assert tab.locator("#presets button").all_inner_texts() == ["any", "≤ 2 GFLOP", "≤ 3 GFLOP", "≤ 4 GFLOP"]
    tab.get_by_role("button", name="≤ 3 GFLOP").click()
    within = max((m for m in RANKED if GFLOPS[m] <= 3), key=METHODS.get)
    assert within == "lwf"
    assert [line[:2] for line in answers(tab)] == [["split-digits/domain", "lwf"], ["split-digits/task", "lwf"]]
    assert [text.replace("\u00a0", " ") for text in answers(tab)[0][2:4]] == ["82.7 ± 2.5 %", "3.00 GFLOP"]
    assert methods(tab) == ["lwf", "ewc", "finetune (lower)"]
    assert tab.locator("tr.pick th button").all_inner_texts() == ["lwf", "lwf"]
    tab.locator("#answer").get_by_role("button", name="lwf").first.click()
    assert tab.locator("dialog h2").inner_text() == "lwf, split-digits/domain"


@pytest.mark.parametrize("text", ["3G", "3 GFLOP", "3e9", "3000000000", "3.004g"])
def test_budget_can_be_typed(open_page, text):
    tab = open_page()
    tab.get_by_label("at most").fill(text)
    assert methods(tab) == ["lwf", "ewc", "finetune (lower)"]


def test_budget_that_is_no_number_is_said_and_hides_nothing(open_page):
    tab = open_page()
    tab.get_by_label("at most").fill("much")
    assert "no amount" in tab.locator("#unreadable").inner_text()
    assert methods(tab) == ORDER


def test_what_ties_with_the_best_is_what_the_tables_mark(open_page):
    tab = open_page()
    marked = tab.locator(f"{DOMAIN} tbody tr:has(td:nth-child(2) sup:text-is('†')) th button").all_inner_texts()
    assert marked == ["er", "lwf"]
    assert answers(tab)[0][1] == tab.locator(f"{DOMAIN} tr:has(td:nth-child(2) b) th button").inner_text() == "gem"
    assert answers(tab)[0][4] == "er, lwf"
    choose(tab, "Method family", "regularisation")
    assert [line[1:5:3] for line in answers(tab)] == [["lwf", "none"]] * 2


def test_doubtful_best_is_marked_as_such(open_page, tmp_path):
    """Two methods with one matrix: one of them may do nothing."""
    records = [planted(method, seed, shifted(seed)) for method in ("er", "ewc") for seed in range(3)]
    tab = open_page(url=write_page(tmp_path, [page_suite(records, methods=["er", "ewc"])]).as_uri())
    assert answers(tab)[0][1:5:3] == ["⚠ er", "⚠ ewc"]


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
    choose(tab, label, choice)
    assert methods(tab) == left
    assert tab.locator(TASK).is_hidden() == (label in ("Scenario", "Setting"))


def test_all_suites_can_be_seen_at_once(open_page):
    tab = open_page()
    choose(tab, "Suite", "")
    assert tab.locator("#count").inner_text() == "15 of 15 rows shown."
    assert answers(tab)[2][:2] == ["second: split-digits/domain", "er"]
    assert answers(tab)[2][4] == "one seed: not known"


def test_sorts_best_first_then_worst_first_then_as_it_was(open_page):
    tab = open_page()
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


def test_metric_is_chosen_with_its_formula(open_page):
    tab = open_page()
    assert SCORES["acc"].formula in tab.locator("#formula").inner_text()
    choose(tab, "Metric", "fm.mean")
    assert SCORES["fm.mean"].formula in tab.locator("#formula").inner_text()
    assert "lower is better" in tab.locator("#formula").inner_text()
    assert tab.locator(f"{DOMAIN} th.chosen").inner_text().startswith("FM (fm.mean), pp")
    assert answers(tab)[0][1] == "gem"


def test_row_shows_its_matrix_curves_settings_and_command(open_page):
    tab = open_page()
    dialog = tab.locator("dialog")
    tab.locator(f"{DOMAIN} tbody tr").nth(ORDER.index("gem")).locator("td").nth(3).click()
    assert dialog.locator("h2").inner_text() == "gem, split-digits/domain"
    tab.keyboard.press("Escape")
    tab.locator(DOMAIN).get_by_role("button", name="er", exact=True).press("Enter")
    assert dialog.locator("h2").inner_text() == "er, split-digits/domain"
    matrix = [row.locator("td").all_inner_texts() for row in dialog.locator(".heat tbody tr").all()]
    assert matrix == [
        ["50.0", "40.0", "60.0"],
        ["97.0", "55.0", "62.0"],
        ["80.0", "90.0", "66.0"],
        ["78.0", "86.0", "93.0"],
    ]
    assert dialog.locator("td.learned").all_inner_texts() == ["97.0", "90.0", "93.0"]
    assert dialog.locator("figure").count() == 2
    assert dialog.locator("rect.bar").count() == 2
    command = "python -m benchmarks run first --scenarios split-digits/domain --methods er --seeds 3"
    assert dialog.locator("#command").inner_text() == command
    assert "method.settings.buffer_size = 50" in dialog.inner_text()
    assert "training.optimizer.lr = 0.01" in dialog.inner_text()
    tab.keyboard.press("Escape")
    assert dialog.is_hidden()
    assert tab.evaluate("document.activeElement.textContent") == "er"


def test_row_without_a_successful_run_says_why(open_page):
    tab = open_page("#suite=first&row=first%7Csplit-digits%2Fdomain%7Cpnn")
    assert "needs the task id at test" in tab.locator("dialog").inner_text()
    assert "No run has succeeded" in tab.locator("dialog").inner_text()


def test_address_restores_the_view(open_page):
    tab = open_page()
    choose(tab, "Setting", "task")
    choose(tab, "Metric", "bwt")
    tab.get_by_label("at most").fill("4G")
    tab.locator(f"{TASK} thead").get_by_role("button", name="training").click()
    tab.locator(TASK).get_by_role("button", name="ewc").click()
    again = open_page(url=tab.url)
    for own in (tab, again):
        assert own.locator(DOMAIN).is_hidden()
        assert methods(own, TASK) == ["finetune (lower)", "ewc", "lwf", "er"]
        assert own.get_by_role("combobox", name="Metric").input_value() == "bwt"
        assert own.get_by_label("at most").input_value() == "4G"
        assert own.locator("dialog h2").inner_text() == "ewc, split-digits/task"
    assert answers(again) == answers(tab)
    again.goto(tab.url.partition("#")[0] + "#suite=second")
    assert again.locator("#s0").is_hidden()
    assert again.locator("dialog").is_hidden()


def test_reset_shows_everything_again(open_page):
    tab = open_page("#suite=first&setting=task&max=1&family=replay&sort=-aa")
    assert "Nothing fits" in tab.locator("#count").inner_text()
    tab.get_by_role("button", name="Reset").click()
    assert methods(tab) == ORDER


def test_fits_a_phone(open_page):
    for hash in ("", "#suite=first&row=first%7Csplit-digits%2Fdomain%7Cer"):
        tab = open_page(hash, viewport={"width": 390, "height": 800}, is_mobile=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert tab.locator("dialog").evaluate("own => own.scrollWidth <= own.clientWidth")
    tab.keyboard.press("Escape")
    assert tab.locator(f"{DOMAIN} thead th:visible").count() == 3
    tab.get_by_label("all columns").check()
    assert tab.locator(f"{DOMAIN} thead th:visible").count() == 11


def test_filters_are_folded_away_on_a_phone_and_say_what_is_set(open_page):
    tab = open_page(viewport={"width": 390, "height": 800}, is_mobile=True)
    assert tab.locator("#setting").is_hidden()
    assert tab.locator("#metric").is_visible()
    assert tab.locator("#answer").evaluate("own => own.getBoundingClientRect().top + scrollY") < 800, (
        "on the first screen"
    )
    tab.get_by_text("Filters and budget").click()
    choose(tab, "Setting", "task")
    assert tab.locator("#controls summary").inner_text() == "Filters and budget (1 set)"
    assert open_page().locator("#setting").is_visible()


def test_a_filter_changes_no_verdict(open_page):
    """A pair's p value is that of its whole table, also where rivals are filtered away."""
    tab = open_page()
    assert answers(tab)[0][4] == "er, lwf"
    choose(tab, "Keeps a buffer", "yes")
    assert answers(tab)[0][4] == "er"
    # alone, p = 0.023 would tell gem and lwf apart
    pair = "tables[0].rows.filter((row) => ['gem', 'lwf'].includes(row.method))"
    assert tab.evaluate(f"bestOf(tables[0], {pair}, 'acc').tied.map((row) => row.method)") == ["lwf"]


def test_tables_stand_without_javascript(open_page):
    tab = open_page(java_script_enabled=False)
    assert tab.locator("table:visible").count() == 3
    assert tab.locator("#controls").is_hidden()
    assert tab.locator("#s0t0 tbody th").all_inner_texts()[1] == "gem"


def test_names_cannot_break_the_page(open_page, tmp_path):
    tab = open_page(url=write_page(tmp_path, [hostile_suite()], title="Hostile").as_uri())
    tab.locator("#s0t0 tbody th button").nth(1).click()
    assert HOSTILE in tab.locator("dialog h2").inner_text()
    assert tab.title() == "Hostile"
    assert tab.locator("img").count() == 0
    assert HOSTILE in open_page(url=tab.url).locator("dialog h2").inner_text()
