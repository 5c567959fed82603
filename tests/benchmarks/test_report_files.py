"""The files a report writes: what a reader, a spreadsheet and LaTeX get to see."""

import csv
import io
import re
import shutil
import subprocess

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from benchmarks.plain_text import one_line
from benchmarks.report.csv_ import csv_text
from benchmarks.report.latex import latex
from benchmarks.report.legend import note_mark
from benchmarks.report.markdown import markdown
from benchmarks.report.page.document import page
from benchmarks.report.page.suite import PageSuite
from benchmarks.report.terminal import terminal
from benchmarks.report.write import write_report
from benchmarks.request.errors import SettingsError
from tests.benchmarks.test_report_fixtures import PLAIN, board_of, planted, recorded, shifted
from tests.benchmarks.test_report_table import SEEDS, runs

RAISED = "ᵃᵇᶜᵈᵉᶠᵍʰʲᵏᵐⁿᵖʳˢᵗᵘᵛʷˣʸᶻ"
SPLIT = {"ewc": 8, "er": 9, "finetune": 0, "joint": 12}


def rendered(text: str) -> list[list[str]]:
    """The rows of all tables in `text`, as a markdown renderer sees them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    rows: list[list[str]] = []
    for i, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        if token.type in ("td_open", "th_open"):
            rows[-1].append(tokens[i + 1].content)
    return rows


def plain(text: str) -> str:
    """Without the spaces that only align."""
    return re.sub(r"[\u00a0\u2007 ]+", " ", text).strip()


def test_markdown_shows_percent_with_interval_and_marks():
    text = markdown(board_of(runs(SPLIT)))
    rows = {plain(row[0]): [plain(cell) for cell in row] for row in rendered(text)}
    assert rows["method"][1:3] == ["ACC, % ↑", "BWT, pp ↑"]
    assert list(rows) == ["method", "joint (upper)", "er", "ewc", "finetune (lower)"]
    assert rows["er"][1] == "**87.0 ± 3.8**"  # 77.67 + 9 and the mean of the noise, 1/3; t(2) = 4.303
    assert rows["ewc"][1] == "† 86.0 ± 3.8"
    assert rows["joint (upper)"][1] == "90.0 ± 3.8"
    assert rows["method"][7:] == [
        "inference, kFLOP/image ↓",
        "training, MFLOP ↓",
        "time (indicative), s ↓",
        "memory, kB ↓",
    ]
    assert rows["er"][7:] == ["2.00", "3.00", "1.10 ± 0.25", "4.50"]  # costs equal for all seeds have no interval


def test_every_markdown_table_is_whole_whatever_is_in_it():
    failed = planted("e|w*c", 0, [[None] * 3] * 4, status="failed", error="ValueError: a | b\n`c` <d>")
    records = [failed, *runs({"er": 1})]
    methods = {"er": {}, "e|w*c": {"method": "ewc"}, "pnn": {}}
    text = markdown(board_of(records, methods=methods, impossible={("split-digits/domain", "pnn"): "needs | id"}))
    rows = rendered(text)
    assert len({len(row) for row in rows}) == 1
    assert [plain(row[0]) for row in rows] == ["method", "er", r"e|w\*c ᵃ ᵇ", "pnn"]
    assert r"ValueError: a \| b" not in text  # only the last line of an error is shown
    assert r"\`c\` \<d\>" in text


def test_every_note_mark_in_the_markdown_has_its_note():
    bad = planted("ewc", 2, [[None] * 3] * 4, status="failed", error="KeyError: 1")
    records = [*runs({"er": 2, "joint": -12, "finetune": 9}), *runs({"ewc": 1}, seeds=[0, 1]), bad]
    text = markdown(board_of(records))
    used = {n for row in rendered(text) for cell in row for n in re.findall(f"[{RAISED}]", cell)}
    explained = set(re.findall(f"^- ([{RAISED}]) ", text, re.MULTILINE))
    assert used == explained
    assert "⚠" in text


def test_the_number_of_seeds_is_said_once_or_in_every_row():
    even = markdown(board_of(runs(SPLIT)))
    assert "n = 3 seeds in every row." in even
    assert "seeds" not in [plain(cell) for cell in rendered(even)[0]]
    uneven = markdown(board_of(runs({"er": 9}) + runs({"ewc": 1}, seeds=[0, 1]), methods=["er", "ewc"]))
    assert [plain(row[1]) for row in rendered(uneven)] == ["seeds", "3/3", "2/3"]
    short = markdown(board_of(runs({"er": 9}, seeds=[0, 1]), methods=["er"]))
    assert "n = 2 seeds of 3 asked for in every row." in short


def test_the_protocol_is_that_of_the_records():
    text = markdown(board_of(runs({"er": 9}) + runs({"ewc": 1}, training={"epochs": 7}), methods=["er", "ewc"]))
    for line in (
        "- data: digits (checksum c0ffee)",
        "- tasks: 3, split, 2 classes each, 20 training and 100 test images each",
        "- training: 2 epochs a task, batches of 16; ewc: 7 epochs a task, batches of 16",
        "- optimizer: sgd, lr 0.01, momentum 0.9, constant learning rate, its state fresh for every task",
        "- buffers: 50 examples in all (er)",
        "- class order: natural, the same for every seed",
        "- seeds: 0–2",
        "- commit: aaaaaaaaaaaa",
        "- er: buffer_size = 50",
    ):
        assert line in text.splitlines()


def test_task_incremental_says_which_of_its_meanings():
    for head, words in (("auto", "trained multi-head"), ("masked", "one head, masked")):
        record = planted("er", 0, scenario="split-digits/task")
        settings = record.settings | {"model": record.settings["model"] | {"head": head}}
        board = board_of([record.model_copy(update={"settings": settings})], scenarios=["split-digits/task"])
        assert f"Output layer: {words}" in markdown(board)


def test_records_of_several_commits_and_machines_are_told_apart():
    other = planted("er", 2).environment | {"commit": "b" * 40 + "+dirty", "hardware": "another machine"}
    records = [planted("er", 0), planted("er", 1, shifted(1)), planted("er", 2, shifted(2), environment=other)]
    text = markdown(board_of(records, methods=["er"]))
    assert "aaaaaaaaaaaa (2 runs); bbbbbbbbbbbb with uncommitted changes (1 runs). WARNING: not all rows" in text
    assert "another machine (1 runs); test machine (2 runs). WARNING: times do not compare" in text


def test_what_tables_share_stands_once_above_them():
    scenarios = ["a/domain", "b/class"]
    text = markdown(board_of([planted("er", s, scenario=n) for n in scenarios for s in SEEDS], scenarios=scenarios))
    assert text.count("- training: 2 epochs a task, batches of 16") == 1
    assert text.count("- setting: ") == 2
    assert text.index("- training: ") < text.index("## a/domain") < text.index("- setting: ")


def test_the_footer_has_formula_direction_and_source_of_each_score_shown():
    text = markdown(board_of(runs(SPLIT), ["fm.max", "acc"]))
    assert "- fm.max: largest forgetting, `max over j<T of R[j][j] - R[T][j]`; lower is better; " in text
    assert "- ACC (`acc`): average accuracy, `mean over j of R[T][j]`; higher is better; " in text
    assert "BWT (" not in text


def test_a_smoke_suite_says_so_in_every_file():
    board = board_of(runs({"er": 0}), methods=["er"], kind="smoke")
    for text in (markdown(board), csv_text(board), latex(board), terminal(board)):
        assert "smoke test, not a result" in text
    assert "smoke" not in markdown(board_of(runs({"er": 0}), methods=["er"]))


def test_csv_holds_raw_values_with_their_unit():
    board = board_of(
        runs(SPLIT) + [planted("er", s, scenario="x/class") for s in SEEDS],
        scenarios=["split-digits/domain", "x/class"],
    )
    frame = pd.read_csv(io.StringIO(csv_text(board)))
    (row,) = frame.query("scenario == 'split-digits/domain' and method == 'er' and measure == 'acc'").to_dict("records")
    cell = next(r for r in board.tables[0].rows if r.method == "er").cells[0]
    assert row["mean"] == pytest.approx(cell.summary.mean, rel=1e-9)
    assert row["half_width_95"] == pytest.approx(cell.summary.half_width, rel=1e-9)
    assert (row["unit"], row["n"], row["seeds"], row["mark"], row["status"]) == ("fraction", 3, 3, "best", "done")
    missing = frame.query("scenario == 'x/class' and method == 'ewc'")
    assert set(missing["status"]) == {"not run"}
    assert missing["mean"].isna().all()


def test_csv_has_a_line_for_each_scenario_method_and_measure():
    board = board_of(runs(SPLIT), ["acc", "fwt"])
    lines = list(csv.DictReader(io.StringIO(csv_text(board))))
    assert [(x["method"], x["measure"]) for x in lines] == [
        (m, id) for m in ("joint", "er", "ewc", "finetune") for id in ("acc", "fwt")
    ]


def test_latex_escapes_names_and_notes():
    bad = planted("er", 0, [[None] * 3] * 4, status="failed", error="KeyError: 100% of $x_1 & {y} \\ 字")
    text = latex(board_of([bad, *runs({"ewc": 1})], methods=["er", "ewc"], title="a_b"))
    assert r"KeyError: 100\% of \$x\_1 \& \{y\} \textbackslash{} ?" in text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    widths = {line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_latex_compiles(tmp_path):
    board = board_of(
        runs(SPLIT) + [planted("er", s, scenario="x/class") for s in SEEDS],
        scenarios=["split-digits/domain", "x/class"],
    )
    preamble = r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "t.tex").write_text(preamble + latex(board) + r"\end{document}")
    run = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-2000:]


@pytest.mark.parametrize("uneven", [False, True])
def test_terminal_tables_fit_a_terminal_and_end_in_time(uneven):
    offsets = {"finetune": -60, "joint": 9, "ewc": -50, "a-gem": 3, "gem": 1, "lwf": -20, "si": -65}
    slow = {"seconds": {"total": 12345.678}}
    records = runs(offsets, **slow) + runs({"er": 4}, seeds=[0, 1] if uneven else SEEDS, **slow)
    text = terminal(board_of(records, methods=[*offsets, "er"]))
    assert max(map(len, text.splitlines())) <= 100
    assert "time" in text.splitlines()[3]
    assert "12346" in text


def test_terminal_says_of_which_rows_a_note_is():
    bad = planted("ewc", 0, [[None] * 3] * 4, status="failed", error="KeyError: 3")
    records = [*runs({"gem": 1}), *runs({"er": 2, "lwf": 0}, seeds=SEEDS[:2]), bad]
    lines = terminal(board_of(records, methods=["gem", "er", "lwf", "ewc"])).splitlines()
    notes = [line.strip() for line in lines if line.startswith("  - ")]
    assert notes == [
        "- er, lwf: seed 2 not run",
        "- er, lwf: not ranked: others have more or other seeds, and means over other seeds do not compare",
        "- ewc: seed 0 failed: KeyError: 3",
        "- ewc: seeds 1, 2 not run",
    ]


def test_terminal_names_the_columns_that_do_not_fit():
    ids = ["acc", "bwt", "fwt", "fm.mean", "fm.max", "la", "aa", "bwt.diaz"]
    text = terminal(board_of(runs(SPLIT), ids))
    assert max(map(len, text.splitlines())) <= 100
    assert "not shown, too wide: " in text


def test_nothing_run_yet_is_a_report_too(tmp_path):
    report = write_report(*recorded([]), tmp_path)
    assert "No run has succeeded yet (3 seeds asked for)." in report.markdown.read_text()
    assert "not run" in report.text


def test_the_same_records_give_the_same_bytes_in_any_order(tmp_path):
    records = runs(SPLIT)
    written = []
    for name, order in (("a", records), ("b", records[::-1])):
        report = write_report(*recorded(order), tmp_path / name)
        written.append([path.read_bytes() for path in (report.markdown, report.csv, report.latex)])
    assert written[0] == written[1]


def test_a_refused_report_writes_nothing_and_leaves_the_old_one(tmp_path):
    report = write_report(*recorded(runs(SPLIT)), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"planted.md", "planted.csv", "planted.tex", "planted.comparison.md"}
    with pytest.raises(SettingsError):
        write_report(*recorded(runs(SPLIT)), tmp_path, ["nonsense"])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert report.markdown == tmp_path / "planted.md"


def test_intervals_decide_the_digits_and_zero_has_no_sign():
    wide = [planted("er", s, shifted(n)) for s, n in enumerate((-60, 0, 14))]
    assert re.search(r"62\.3 ± 97\.7", plain(markdown(board_of(wide, methods=["er"]))))
    almost = [planted("er", 0, [*PLAIN[:3], [97, 90, 85]]), planted("er", 1, [*PLAIN[:3], [97, 90, 84]])]
    assert "-0.0" not in markdown(board_of(almost, methods=["er"], seeds=[0, 1]))


# Nothing in a file or on a terminal obeys a name, a title or an error

ESCAPE = "\x1b[31mred\x07\r\nsecond\u202eline"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def test_control_characters_are_written_out_wherever_they_come_from(tmp_path):
    failed = planted(ESCAPE, 0, [[None] * 3] * 4, status="failed", error=f"ValueError: {ESCAPE}")
    records = [failed, *runs({"er": 1})]
    own = {"methods": {"er": {}, ESCAPE: {"method": "ewc"}}, "title": ESCAPE, "about": ESCAPE}
    own["scenarios"] = ["split-digits/domain"]
    report = write_report(*recorded(records, **own), tmp_path)
    whole = [*(path.read_text() for path in sorted(tmp_path.iterdir())), report.text]
    whole.append(page([PageSuite.of(*recorded(records, **own))], title=ESCAPE))
    assert len(whole) == 6
    for text in whole:
        assert not CONTROL.search(text)
        assert re.search(r"x1b\\?\[31mred\\*(textbackslash\{\})?x07", text.replace("\\textbackslash{}", "\\")), text[
            :200
        ]
    assert len(next(line for line in report.text.splitlines() if "x1b" in line)) == len(one_line(ESCAPE))


def test_names_that_spreadsheets_would_compute_are_text_in_csv_and_numbers_stay_numbers():
    names = ["=1+1", "+er", "-er", "@SUM(A1)", "\t=1"]
    records = [planted(m, 0, shifted(-9)) for m in [*names, "er"]]
    text = csv_text(board_of(records, ["acc", "bwt"], methods={m: {"method": "er"} for m in [*names, "er"]}, seeds=[0]))
    lines = list(csv.DictReader(io.StringIO(text)))
    assert {line["method"] for line in lines} == {"'=1+1", "'+er", "'-er", "'@SUM(A1)", "'=1", "er"}
    assert all(float(line["mean"]) < 0 for line in lines if line["measure"] == "bwt")
    failed = planted("er", 0, [[None] * 3] * 4, status="failed", error='=HYPERLINK("http://x")')
    assert not re.search(r'(^|,)"?[=@]', csv_text(board_of([failed], methods=["er"])), re.M)


def test_note_marks_are_letters_that_no_number_can_be_read_with():
    marks = [note_mark(k) for k in range(1, 600)]
    assert marks[:3] == ["a", "b", "c"]
    assert marks[21:24] == ["z", "aa", "ab"]
    assert len(set(marks)) == len(marks)
    assert not set("".join(marks)) & set("0123456789ilo")
    text = markdown(board_of(runs(SPLIT)))
    (joint,) = [row for row in rendered(text) if "joint" in row[0]]
    assert "ᵇ\u00a03.00" in joint
    assert r"\textsuperscript{b} $3.00$" in latex(board_of(runs(SPLIT)))
