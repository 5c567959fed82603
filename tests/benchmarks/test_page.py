"""index.html as a text: complete without a script, the tables' own numbers, nothing in it that a name could break."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records.published import PublishedStore
from benchmarks.records.record import Flops, RunRecord
from benchmarks.records.recorded import recorded_suites
from benchmarks.records.store import Store
from benchmarks.report.markdown import markdown
from benchmarks.report.overview import write_guide, write_index
from benchmarks.report.page.document import page, write_page
from benchmarks.report.page.suite import PageSuite
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from benchmarks.request.selection import parse_seeds, seed_selection, selection
from tests.benchmarks.test_report_fixtures import planted, planted_cell, recorded, recorded_grid, shifted

GOLDEN = Path(__file__).parent / "golden"
METHODS = {"finetune": 0, "joint": 12, "ewc": 2, "er": 8, "gem": 9, "lwf": 4}
"""What each method gets right of the last tests more than PLAIN, in per cent."""
GFLOPS = {"finetune": 1, "joint": 9, "ewc": 2, "er": 4, "gem": 8, "lwf": 3}
HOSTILE = """</script><img src=x onerror="document.title='broken'">'&<!--"""
LONG_TITLE = "A second suite, whose title is a good deal longer than any phone is wide"
VOID = {"meta", "link", "input", "img", "br", "hr"}


def costly(method: str, seed: int, matrix: Sequence[Sequence[int | None]], gflops: float, **changes: Any) -> RunRecord:
    n = len(matrix[0])
    flops = Flops(inference=[2000] * n, inference_modules=[2000] * n, training=int(gflops * 1e9), parts={})
    return planted(method, seed, matrix, flops=flops, **changes)


def ordinary(scenario: str = "split-digits/domain", seeds: Sequence[int] = (0, 1, 2)) -> list[RunRecord]:
    """Methods that differ clearly but for er and gem, which change places from seed to seed."""
    wobble = {"er": (0, 1, -1), "gem": (-2, 1, 2)}
    return [
        costly(m, s, shifted(METHODS[m] + wobble.get(m, (0, 1, 2))[s] - seeds[0]), GFLOPS[m], scenario=scenario)
        for m in METHODS
        for s in seeds
    ]


def page_suite(records: Sequence[RunRecord], metrics: list[str] | None = None, **grid: Any) -> PageSuite:
    return PageSuite.of(*recorded(records, **({"methods": list(METHODS)} | grid)), metrics)


def two_suites() -> list[PageSuite]:
    """Two scenarios in one suite, one of them without a run of pnn; a single failed run in the other suite."""
    scenarios = ("split-digits/domain", "split-digits/task")
    first = page_suite(
        [record for scenario in scenarios for record in ordinary(scenario)],
        methods=[*METHODS, "pnn"],
        scenarios=scenarios,
        impossible={("split-digits/domain", "pnn"): "PNN needs the task id at test"},
        name="first",
    )
    failed = planted("er", 1, status="failed", error="Traceback\nValueError: no <b>memory</b>")
    second = page_suite([planted("er", 0), failed], methods=["er"], seeds=(0, 1), name="second", title=LONG_TITLE)
    return [first, second]


class Document(HTMLParser):
    """What a test asks of a page; fails on a tag that is not closed, or closed twice."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.items: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "script":
            self.scripts.append("")
        elif tag == "li":
            self.items.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" not in self._open:
            self.text += data
        if "li" in self._open:
            self.items[-1] += data
        if ("td" in self._open or "th" in self._open) and "sup" not in self._open:
            self.tables[-1][-1][-1] += data

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


def plain(cell: str) -> str:
    """A cell of either format without its marks and padding."""
    return re.sub(r"[*⚠†ᵃᵇᶜᵈᵉᶠᵍʰʲᵏᵐⁿᵖʳˢᵗᵘᵛʷˣʸᶻ\\\s]", "", cell)


def markdown_tables(text: str) -> list[list[list[str]]]:
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [[line.strip("|").split("|") for line in block.splitlines()] for block in blocks]
    return [[[plain(cell) for cell in row] for k, row in enumerate(table) if k != 1] for table in rows]


@pytest.fixture(scope="module")
def suites() -> list[PageSuite]:
    return two_suites()


@pytest.fixture(scope="module")
def document(suites) -> Document:
    return Document(page(suites))


@pytest.fixture(scope="module")
def golden() -> PageSuite:
    """Real records of short runs."""
    scan = Store(GOLDEN / "records").scan()
    impossible = {("split-digits/class", "pnn"): "needs the task id"}
    return PageSuite.of(recorded_grid(load_suite(str(GOLDEN / "small.yaml")), scan, impossible), scan)


def test_tables_hold_the_same_strings_as_markdown(suites, golden):
    for shown in (suites, [golden]):
        tables = [[list(map(plain, row)) for row in table] for table in Document(page(shown)).tables]
        assert tables == [table for own in shown for table in markdown_tables(markdown(own.board))]


def test_everything_of_a_leaderboard_is_there_without_a_script(suites, document):
    for board in (suite.board for suite in suites):
        texts = [board.title, *board.shared.values(), *board.hyperparameters.values()]
        texts += [note for table in board.tables for note in table.notes]
        texts += [text for measure in board.measures for text in (measure.name, measure.formula, measure.source)]
        assert [text for text in texts if text not in document.text] == []


def test_html_is_sound(document):
    ids = document.values("id")
    assert len(ids) == len(set(ids))
    named = document.values("aria-labelledby") + document.values("aria-describedby")
    named += [href[1:] for href in document.values("href") if href.startswith("#")]
    assert [name for name in named if name not in ids] == []
    assert document.tags["label"] == document.tags["select"] + document.tags["input"]
    assert document.tags["table"] == len(document.tables) == 3


def test_nothing_is_loaded_from_elsewhere(suites, document):
    text = page(suites)
    links = {value for name in ("src", "href") for value in document.values(name)}
    assert {link for link in links if not link.startswith("#")} == {"data:,"}
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert re.findall(r"\b(?:fetch|XMLHttpRequest|import|WebSocket|EventSource)\b\s*\(", document.scripts[1]) == []


def test_only_the_page_s_own_script_may_run(document):
    [policy] = [value for value in document.values("content") if "default-src" in value]
    digest = base64.b64encode(hashlib.sha256(document.scripts[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy
    assert [name for _, name, _ in document.attributes if name.startswith("on")] == []
    styles = {value for _, name, value in document.attributes if name == "style"}
    assert styles == {"text-align:left", "text-align:right"}


def hostile_suite() -> PageSuite:
    records = [
        planted(HOSTILE, 0, scenario="split-digits<i>&/domain"),
        planted("er", 0, scenario="split-digits<i>&/domain"),
    ]
    records.append(planted("er", 1, scenario="split-digits<i>&/domain", status="failed", error=HOSTILE))
    methods = {"er": {}, HOSTILE: {"method": "er"}}
    return page_suite(records, methods=methods, scenarios=["split-digits<i>&/domain"], title=HOSTILE, about="{{data}}")


def test_names_errors_and_titles_are_text_and_never_markup(document):
    hostile = Document(page([hostile_suite()], title=HOSTILE))
    assert hostile.tags["img"] == hostile.tags["i"] == 0
    assert hostile.tags["script"] == document.tags["script"] == 2
    assert {name for _, name, _ in hostile.attributes} <= {name for _, name, _ in document.attributes}
    [suite] = hostile.data["suites"]
    assert suite["title"] == HOSTILE
    assert [row["method"] for row in suite["tables"][0]["rows"]] == ["er", HOSTILE]
    assert "{{data}}" in hostile.text
    assert hostile.text.count(HOSTILE) >= 4  # title twice, suite, row, note


def test_same_records_give_the_same_bytes(tmp_path):
    records = ordinary()
    first = write_page(tmp_path / "a", [page_suite(records)]).read_bytes()
    second = write_page(tmp_path / "b", [page_suite(records[::-1])])
    assert second.read_bytes() == first
    assert [path.name for path in second.parent.iterdir()] == ["index.html"]


def test_3000_cells_take_less_than_2_megabytes(golden):
    """Real records, copied until there are enough, each copy a scenario of its own with settings of its own."""
    cells = sum(len(own) for runs in golden.runs for own in runs.records.values())
    copies = range(math.ceil(3000 / cells))
    assert cells == 27

    def settings(runs, k):
        return {m: {**s, "scenario": {**s["scenario"], "copy": k}} for m, s in runs.settings.items()}

    pairs = [
        (replace(table, scenario=f"{table.scenario} {k}"), replace(runs, settings=settings(runs, k)), own)
        for k in copies
        for table, runs, own in zip(golden.board.tables, golden.runs, golden.board.protocols, strict=True)
    ]
    tables, runs, own = zip(*pairs, strict=True)
    text = page([replace(golden, board=replace(golden.board, tables=tables, protocols=own), runs=runs)])
    assert len(Document(text).tables) == 2 * len(copies)
    assert len(text.encode()) < 2_000_000


@pytest.mark.parametrize("seeds", [(0,), (3,), (0, 1, 2), (1, 2), (0, 2, 5)])
def test_seeds_of_a_command_are_read_as_they_were_meant(seeds):
    assert parse_seeds(seed_selection(seeds), []) == list(seeds)


def test_names_of_a_command_select_themselves_alone():
    [name] = shlex.split(selection("a b[c]*"))
    assert [known for known in ("a b[c]*", "a bc", "a b[c]d") if fnmatchcase(known, name)] == ["a b[c]*"]


def test_command_names_the_file_and_the_changes_of_a_suite_of_one_s_own():
    grid, scan = recorded([planted("er", 0)], methods=["er"])
    suite = PageSuite.of(grid, scan, arguments=["my suites/tiny.yaml", "--set", "training.epochs=1"])
    command = shlex.split(suite.command("split-digits/domain", "er", [0, 1]))
    assert command[3:7] == ["run", "my suites/tiny.yaml", "--set", "training.epochs=1"]
    assert command[7:] == ["--scenarios", "split-digits/domain", "--methods", "er", "--seeds", "2"]
    assert " run planted --scenarios" in PageSuite.of(grid, scan).command("split-digits/domain", "er", [0])


def test_facts_to_filter_by(document):
    rows = {row["method"]: row for row in document.data["suites"][0]["tables"][0]["rows"]}
    assert {name for name, row in rows.items() if row["buffer"] == "yes"} == {"er", "gem"}
    assert {name for name, row in rows.items() if row["task"] == "yes"} == {"pnn"}
    assert rows["er"]["family"] == "replay"


def test_page_without_a_suite_says_what_to_run(tmp_path):
    assert "python -m benchmarks run digits" in Document(write_page(tmp_path, []).read_text()).text


def digits_record(**changes: Any) -> RunRecord:
    """A record of a cell that suite digits has."""
    cell = make_grid(load_suite("digits", ["er"], ["split-digits/domain"], [0])).cells[0]
    return planted_cell(cell, **changes)


def test_suites_with_runs_are_those_whose_records_are_there(tmp_path):
    Store(tmp_path / "runs" / "digits").save(digits_record())
    Store(tmp_path / "runs" / "unknown").save(planted("er", 0))
    (tmp_path / "runs" / "mnist").mkdir()
    [found] = recorded_suites(tmp_path)
    suite = PageSuite.of(found.grid, found.scan)
    assert suite.board.name == "digits"
    assert [row.n for row in suite.board.tables[1].rows if row.method == "er"] == [1]
    assert "digits" in write_index(tmp_path).read_text()


def test_the_guide_is_of_suites_that_compare_methods(tmp_path):
    """A protocol's rows are each set up as its own source says; the page shows them, the guide does not rank them."""
    cells = {name: make_grid(load_suite(name, [method], seeds=[0])).cells[0] for name, method in
             {"digits": "er", "vdv2022_splitmnist": "er", "cifar-smoke": "er"}.items()}  # fmt: skip
    for name, cell in cells.items():
        Store(tmp_path / "runs" / name).save(planted_cell(cell))
    text, page = write_guide(tmp_path).read_text(), write_index(tmp_path).read_text()
    assert "digits" in text
    for left_out in ("vdv2022_splitmnist", "cifar-smoke"):
        assert left_out not in text
        assert left_out in page


def test_published_records_count_by_name(tmp_path):
    """A record made before its settings gained a field has another identity, and is evidence still."""
    PublishedStore(tmp_path / "published" / "digits").save([planted("er", 0)])
    assert list(recorded_suites(tmp_path)) == []
    [found] = recorded_suites(tmp_path, published=True)
    suite = PageSuite.of(found.grid, found.scan)
    assert [row.n for row in suite.board.tables[1].rows if row.method == "er"] == [1]


def test_the_suite_of_the_readme_stands_first_then_images_then_the_largest_that_compares_methods():
    def of(name, seeds, kind="benchmark"):
        records = [planted("er", s, shifted(s)) for s in range(seeds)]
        source = {"source": "a paper"} if kind == "protocol" else {}
        return page_suite(records, methods=["er"], seeds=range(seeds), name=name, title=name, kind=kind, **source)

    def shown(*suites):
        return [suite["title"] for suite in Document(page(suites)).data["suites"]]

    protocol, small, large, smoke = of("a", 5, "protocol"), of("b", 1), of("c", 3), of("d", 4, "smoke")
    assert shown(protocol, smoke, small, large) == ["c", "b", "a", "d (smoke test, not a result)"]
    assert shown(large, of("cifar100-lite", 1), of("mnist", 1)) == ["mnist", "cifar100-lite", "c"]
    assert shown() == []


def test_every_row_leads_to_its_records():
    records = ordinary(seeds=(0, 2))
    grid, scan = recorded(records, methods=[*METHODS, "pnn"], seeds=(0, 2))
    places = {record.identity: f"records.jsonl#L{k}" for k, record in enumerate(records, 1)}
    document = Document(page([PageSuite.of(grid, replace(scan, places=places), folder="planted")]))
    links = [href for href in document.values("href") if href.startswith("planted/")]
    assert sorted(links) == sorted(f"planted/{place}" for place in places.values())
    rows = document.data["suites"][0]["tables"][0]["rows"]
    assert [href for href in document.values("href") if re.fullmatch(r"#s0t0r\d+", href)] == [
        f"#s0t0r{k}" for k in range(len(rows))
    ]
    er = [row["method"] for row in rows].index("er")
    [item] = [text for text in document.items if text.startswith("er: seed")]
    assert f"s0t0r{er}" in document.values("id")
    assert item.startswith(
        "er: seeds 0, 2; python -m benchmarks run planted --scenarios split-digits/domain --methods er"
    )


def test_plots_stand_beside_their_table_unless_they_are_older(tmp_path):
    Store(tmp_path / "runs" / "digits").save(digits_record())
    plots = tmp_path / "leaderboards" / "digits.plots"
    plots.mkdir(parents=True)
    for kind in ("cost", "matrices"):
        (plots / f"split-digits.domain.{kind}.svg").write_text("<svg/>")
    drawn = [f"digits.plots/split-digits.domain.{kind}.svg" for kind in ("cost", "matrices")]
    assert Document(write_index(tmp_path).read_text()).values("src") == drawn
    table = tmp_path / "leaderboards" / "digits.md"
    table.write_text("renewed")
    os.utime(table, (2e9, 2e9))
    assert Document(write_index(tmp_path).read_text()).values("src") == []
