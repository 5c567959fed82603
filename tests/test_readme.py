"""Every command and snippet of README.md and docs/ is run, what they name exists, and what is generated is up to date.

`python -m tests.test_readme` writes the generated parts anew.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import typer.main
import yaml
from PIL import Image
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.executors.choice import Choice
from benchmarks.records.published import PublishedStore
from benchmarks.records.record import RunRecord
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import METHODS, Method
from metrics import SCORES, Summary, score, summarise
from scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent
FILES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")))
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in FILES}
MOST_WORDS = {
    "README.md": 1620,
    "CONTRIBUTING.md": 930,
    "docs/gpus-and-clusters.md": 1100,
    "docs/methods.md": 1400,
    "docs/data.md": 1370,
    "docs/numbers.md": 940,
}
"""As `wc -w` counts; another page has at most 900."""
PUBLISHED = ROOT / "results" / "published"
TO_BE_WRITTEN = (
    "methods/l1.py",
    "scenarios/dimmed.py",
    "results/runs/",
    "results/leaderboards/",
    "results/selftest/",
    "results/tracked/",
    "results/tuning/",
    "results/data/",
    "results/manifests/",
    "results/suites/",
)
"""Paths that a reader or a run makes."""

MARKED = re.compile(r"<!-- test: ([\w-]+) -->\n```\w+\n(.*?)```", re.S)


def blocks(kind: str, page: str = "") -> list[str]:
    """The code blocks after `<!-- test: kind -->`, of one page or of all."""
    texts = [PAGES[page]] if page else PAGES.values()
    return [code for text in texts for found, code in MARKED.findall(text) if found == kind]


def block(kind: str) -> str:
    (code,) = blocks(kind)
    return code


def commands(code: str) -> list[str]:
    """The commands of a block, each in one line."""
    return code.replace("\\\n", " ").splitlines()


def spans(text: str) -> list[str]:
    """What stands in `backticks` in running text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


def run_line(line: str, folder: Path, *more: str) -> str:
    """Runs a command as shown, in `folder`; gives what it printed."""
    words = shlex.split(line)
    assert words[:2] == ["python", "-m"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *words[1:], *more]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    assert done.stdout.strip()
    return done.stdout


# ---- the pages as a whole ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_code_block_is_run_by_a_test_here(page):
    text = PAGES[page]
    make_blocks = [code for code in re.findall(r"```bash\n(.*?)```", text, re.S) if code.startswith("make ")]
    assert len(MARKED.findall(text)) + len(make_blocks) == text.count("```") // 2
    assert {kind for kind, _ in MARKED.findall(text)} <= {
        *("api", "check", "cluster", "commands", "ddp", "folder", "folder-suite", "gate", "method", "scenario"),
        *(
            "bench",
            "other-program",
            "other-tools",
            "own-data",
            "own-loop",
            "plug-ins",
            "ray",
            "slurm",
            "space",
            "suite",
        ),
        *("tuning", "workflow"),
    }


def test_no_command_is_shown_twice():
    lines = [line for text in PAGES.values() for _, code in MARKED.findall(text) for line in commands(code)]
    lines = [" ".join(line.split()) for line in lines if line.startswith("python -m ")]
    assert len(lines) == len(set(lines))


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_short(page):
    assert len(PAGES[page].split()) <= MOST_WORDS.get(page, 900)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", PAGES[page]):
        if target.startswith("http"):
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)", path.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, anchor


@pytest.mark.parametrize("page", PAGES)
def test_options_verbs_files_and_members_named_exist(page):
    verbs = typer.main.get_command(app).commands
    options = {name for command in verbs.values() for p in command.params for name in p.opts} | {"--help"}
    folders = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir())
    for span in spans(PAGES[page]):
        assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", span)) <= options, span
        if span.startswith("python -m benchmarks "):
            assert span.split()[3] in verbs, span
        if span.startswith(folders) and not span.startswith(TO_BE_WRITTEN) and re.fullmatch(r"[\w./-]+", span):
            assert (ROOT / span.replace("SUITE", "digits")).exists(), span
        if member := re.match(r"self\.(\w+)", span):
            declared = {name for cls in Method.__mro__ for name in getattr(cls, "__annotations__", {})}
            assert hasattr(Method, member[1]) or member[1] in declared, span


def test_make_commands_exist():
    lines = {line for text in PAGES.values() for line in re.findall(r"^make [^#\n`]*", text, re.M)}
    lines |= {span for text in PAGES.values() for span in spans(text) if re.match(r"make \w", span)}
    for line in lines:
        done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


# ---- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [page for page in PAGES if blocks("commands", page)])
def test_commands(page, tmp_path):
    if "--published" in "".join(blocks("commands", page)):
        (tmp_path / "published").mkdir()
        (tmp_path / "published" / "digits").symlink_to(PUBLISHED / "digits")
    for line in commands("".join(blocks("commands", page))):
        place = [] if shlex.split(line)[3] in ("list", "cost", "data") else ["--results-dir", str(tmp_path)]
        run_line(line, ROOT, *place)


def test_gate_commands(tmp_path):
    for line in commands(block("gate")):
        run_line(line, tmp_path)
    verdict = (tmp_path / "verdict.md").read_text()
    assert "### Gate: pass" in verdict
    assert "equal bit for bit" in verdict


def test_one_cell_on_two_processes(tmp_path):
    assert "er seed 0: done" in run_line(*commands(block("ddp")), tmp_path)


def test_a_folder_of_images_with_its_suite(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    for part, n in (("train", 8), ("val", 4)):
        for name in ("cat", "dog", "fox", "hen"):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(np.roll(pixels, i, axis=1)).save(folder / f"{i}.jpg")
    (tmp_path / "pictures.yaml").write_text(block("folder-suite"))
    checked, planned = (run_line(line, tmp_path, "--data-root", ".") for line in commands(block("folder")))
    assert "all 48 files can be decoded" in checked
    assert "9 cells, 0 done, 9 to run" in planned


def test_the_suite_shown_is_one(tmp_path):
    (tmp_path / "permutations.yaml").write_text(block("suite"))
    cells = make_grid(load_suite(str(tmp_path / "permutations.yaml"))).cells
    assert len(cells) == 9
    assert {cell.scenario.tasks for cell in cells} == {10}


def test_the_suite_of_plug_ins_runs(tmp_path):
    shutil.copy(ROOT / "benchmarks" / "starter" / "my_replay.py", tmp_path)
    (tmp_path / "my_net.py").write_text(
        "from torch import nn\n\n\nclass Wide(nn.Sequential):\n    def __init__(self, width: int = 256):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, width), nn.ReLU())\n"
    )
    (tmp_path / "mine.yaml").write_text(block("plug-ins"))
    command = [sys.executable, "-m", "benchmarks", "run", "mine.yaml", "--seeds", "1", "--workers", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mine-wide" in done.stdout


def test_tuning_commands(tmp_path):
    """With fewer trials, which take the time."""
    shown = block("space")
    (tmp_path / "space.yaml").write_text(shown.replace("trials: 12", "trials: 3"))
    assert "trials: 12" in shown
    chosen, table = (run_line(line, tmp_path) for line in commands(block("tuning")))
    assert "er in split-digits/class: 3 of 3 trials" in chosen
    assert "tuned on the first 2 tasks with 3 trials (tpe)" in table


def test_the_workflow_to_copy_uses_commands_that_exist():
    steps = yaml.safe_load(block("workflow"))["jobs"]["gate"]["steps"]
    lines = [step["run"].removeprefix("retain ") for step in steps if step.get("run", "").startswith("retain ")]
    verbs = typer.main.get_command(app).commands
    assert len(lines) == 2
    for line in lines:
        verb, *words = shlex.split(line)
        known = {name for p in verbs[verb].params for name in p.opts}
        assert {word for word in words if word.startswith("--")} <= known, line


def test_a_job_of_the_cluster_s_array_runs_the_whole_grid_on_its_gpu():
    """Each job asks for all cells: their claims deal them out (tests/benchmarks/test_claims.py)."""
    words = shlex.split(block("cluster"))
    script = words[words.index("--wrap") + 1].replace("make ", "make -n ", 1)
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line.replace("'", "") for line in done.stdout.splitlines() if "benchmarks run cifar100-b50" in line]
    assert ["--gpus 0" in line for line in lines] == [True]


@pytest.mark.parametrize("kind", ["ray", "slurm"])
def test_commands_for_clusters_are_understood(kind):
    """What they do is tested on clusters of one machine: tests/benchmarks/test_ray.py and test_slurm.py."""
    lines = [shlex.split(line, comments=True) for line in commands(block(kind))]
    ours = [words[3:] for words in lines if words[:3] == ["python", "-m", "benchmarks"]]
    verbs = typer.main.get_command(app).commands
    contexts = [verbs[verb].make_context(verb, list(words)) for verb, *words in ours]
    choices = [context.params for context in contexts if context.info_name == "run"]
    assert choices
    for given in choices:
        names = ("executor", "gpus_per_cell", "ray_address", "slurm", "detach")
        Choice(**{name: given[name] for name in names}).check()
        load_suite(given["suite"])


# ---- code --------------------------------------------------------------------------------------------------------


def test_python_api_in_twelve_lines(capsys):
    code = block("api")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    exec(compile(code, "README", "exec"), {})
    printed = capsys.readouterr().out
    assert "untrained" in printed
    assert float(printed.splitlines()[0]) > 0.6


def test_own_data_network_and_methods_in_25_lines(tmp_path, monkeypatch):
    code = block("bench")
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    (tmp_path / "mine.py").write_text(code)
    done = [run_script(tmp_path / "mine.py") for _ in range(2)]
    assert "class-incremental, n = 2" in done[0]
    assert done[0].endswith(done[1])  # the second time nothing runs


def run_script(path: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, path.name], cwd=path.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_of_own_data_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block("own-data"), "data.md", "exec"), {})
    assert "1347 training and 450 test images of 10 classes" in run_line(
        "python -m benchmarks data npz:mine.npz", tmp_path
    )


def test_the_loop_shown_passes_the_check(tmp_path):
    code = block("own-loop")
    assert len(code.splitlines()) <= 30
    (tmp_path / "script.py").write_text(code)
    assert "keeps the contract" in run_line("python -m benchmarks check script.py", tmp_path)


def test_another_program_is_scored(tmp_path):
    (tmp_path / "nearest_mean.py").write_text(block("other-program"))
    manifest, program, score_line = commands(block("other-tools"))
    assert "seed 2: manifests/split-digits.class.seed2.npz" in run_line(manifest, tmp_path)
    assert program == "python nearest_mean.py manifests/*.npz"
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("manifests/*.npz"))
    done = subprocess.run([sys.executable, "nearest_mean.py", *files], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "scored split-digits/class nearest-mean seed 0: ACC 90" in run_line(score_line, tmp_path)


def test_the_method_shown_passes_the_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_method.py").write_text(block("method"))
    words = shlex.split(block("check"))
    assert words[:3] == ["python", "-m", "benchmarks"]
    done = CliRunner().invoke(app, words[3:])
    assert done.exit_code == 0, done.output
    assert "keeps the contract" in done.output


def test_the_method_shown_runs_as_it_stands(monkeypatch):
    from benchmarks.cell.run import train_task
    from tests.conftest import SHORT, SMALL_MODEL, small_split

    code = block("method")
    assert len(code.splitlines()) <= 30
    module = type(sys)("methods.l1")
    monkeypatch.setitem(sys.modules, "methods.l1", module)
    exec(compile(code, "methods/l1.py", "exec"), module.__dict__)
    monkeypatch.setitem(METHODS, "l1", module.L1)
    moved = {}
    for name, settings in (("l1", {"strength": 0.01}), ("finetune", {})):
        scenario = small_split("domain")
        method = METHODS[name](**settings).start(scenario, SMALL_MODEL, SHORT)
        for task in scenario.tasks:
            train_task(method, scenario, task)
            if task.id == 0:
                first = [p.detach().clone() for p in method.network.parameters()]
        after = method.network.parameters()
        moved[name] = sum(float((p - q).detach().square().sum()) for p, q in zip(after, first, strict=True))
    assert moved["l1"] < 0.8 * moved["finetune"]  # it does what it is for
    for setting in ("task", "class"):
        scenario = small_split(setting)
        method = METHODS["l1"]().start(scenario, SMALL_MODEL, SHORT)
        for task in scenario.tasks:
            train_task(method, scenario, task)


def test_the_scenario_shown_runs_as_it_stands(monkeypatch, tmp_path):
    from benchmarks.cell.run import evaluate, train_task
    from methods import Finetune
    from tests.conftest import SHORT, SMALL_MODEL

    module = type(sys)("scenarios.dimmed")
    monkeypatch.setitem(sys.modules, "scenarios.dimmed", module)
    exec(compile(block("scenario"), "scenarios/dimmed.py", "exec"), module.__dict__)
    monkeypatch.setitem(SCENARIOS, "dimmed", module.Dimmed)
    suite = yaml.safe_load(block("suite"))
    suite["scenarios"] = {"dimmed-digits": {"stream": "dimmed", "data": "digits", "tasks": 3, "settings": ["domain"]}}
    (tmp_path / "dimmed.yaml").write_text(yaml.safe_dump(suite))
    (stream,) = {cell.scenario for cell in make_grid(load_suite(str(tmp_path / "dimmed.yaml"))).cells}
    scenario = stream.model_copy(update={"samples_per_task": 40}).build(seed=0)
    brightness = [float(task.train.examples().images.float().mean()) for task in scenario.tasks]
    assert brightness[1] < 0.7 * brightness[0]
    assert brightness[2] < 0.5 * brightness[1]
    assert scenario.manifest["factors"] == pytest.approx([1, 0.6, 0.2])
    method = Finetune().start(scenario, SMALL_MODEL, SHORT)
    for task in scenario.tasks:
        train_task(method, scenario, task)
    assert len(evaluate(method, scenario)) == 3


# ---- generated parts: <!-- kind: arguments --> ... <!-- end --> ------------------------------------------------------

SHOWN = ("method", "ACC,", "BWT", "FM (", "LA", "training", "memory")
"""How the columns begin that are shown of the published table."""
LETTERS = "ᵃᵇᶜᵈᵉᶠᵍʰʲᵏᵐ"
"""Of notes, in the order in which tables use them."""
FAMILIES = (
    "baseline",
    "regularisation",
    "replay",
    "projection",
    "expansion",
    "isolation",
    "prototypes",
    "prompts",
    "low rank",
)
MARKS = {"needs_task_id": "ᵗ", "sees_past_data": "ᵖ", "needs_new_classes": "ᶜ"}


def published_table(suite: str, scenario: str, *shown: str) -> str:
    """The columns `shown` of one scenario's table as published, by how they begin, with the notes that they refer to."""
    shown = shown or SHOWN
    text = (PUBLISHED / suite / f"{suite}.md").read_text()
    section = re.search(rf"^#+ {re.escape(scenario)}\b.*?(?=^#+ |\Z)", text, re.S | re.M).group(0)
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    kept = [k for k, cell in enumerate(rows[0]) if cell.strip().startswith(("method", *shown))]
    assert len(kept) == len({"method", *shown}) <= 7
    table = "\n".join(f"|{'|'.join(row[k] for k in kept)}|" for row in rows)
    notes = dict(re.findall(rf"^- ([{LETTERS}]) (.*)$", section, re.M))
    used = sorted(set(table) & set(notes), key=LETTERS.index)
    for letter, new in zip(used, LETTERS):  # from the first on
        table = table.replace(letter, new)
    return "\n".join([table, "", *(f"- {new} {notes[letter]}" for letter, new in zip(used, LETTERS))])


def pretrained_table(scenario: str, *shown: str) -> str:
    """ACC of the methods `shown` on the features of both frozen backbones, and what they cost on the first's."""
    suites = {"cifar100-pretrained": "EfficientNet-Lite0", "cifar100-pretrained-vit": "ViT-S/14, 11 blocks"}
    by_method: dict[str, dict[str, list[RunRecord]]] = {}
    for suite in suites:
        for record in PublishedStore(PUBLISHED / suite).scan().records.values():
            if record.scenario == scenario and record.method in shown:
                cls = METHODS[record.settings["method"]["name"]]
                bound = " (upper)" if cls.sees_past_data else " (lower)" if cls.family == "baseline" else ""
                by_method.setdefault(record.method + bound, {}).setdefault(suite, []).append(record)
    heads = [*(f"{name}: ACC, % ↑" for name in suites.values()), "training, GFLOP ↓"]
    lines = [f"| method | {' | '.join(heads)} |", "|:--|" + "--:|" * len(heads)]

    def mean(records: list[RunRecord], number: Callable[[RunRecord], float]) -> Summary:
        return summarise([number(record) for record in records])

    def row(found: dict[str, list[RunRecord]]) -> list[str]:
        accuracies = [mean(found[suite], lambda r: 100 * r.score("acc")) for suite in suites]
        first = found["cifar100-pretrained"]
        assert {len(records) for records in found.values()} == {5}
        training = mean(first, lambda r: r.flops.training / 1e9).mean
        return [*(f"{s.mean:.2f} ± {s.half_width:.2f}" for s in accuracies), f"{training:,.0f}"]

    rows = {method: row(found) for method, found in by_method.items()}
    ordered = sorted(rows, key=lambda m: -float(rows[m][0].split()[0]))
    return "\n".join([*lines, *(f"| {method} | {' | '.join(rows[method])} |" for method in ordered)])


def method_list() -> str:
    """A row a family: its methods, marked by what they need, each with its paper."""
    assert {cls.family for cls in METHODS.values()} == set(FAMILIES)
    lines = ["| family | methods |", "|:--|:--|"]
    for family in FAMILIES:
        named = []
        for name, cls in METHODS.items():
            if cls.family == family:
                paper = re.match(r".*?\d{4}", cls.source)
                said = f" ({paper[0].rpartition('(')[2]})" if paper else ""
                named.append(f"`{name}`{''.join(m for need, m in MARKS.items() if getattr(cls, need))}{said}")
        lines.append(f"| {family} | {', '.join(named)} |")
    return "\n".join(lines)


def score_list(*ids: str) -> str:
    lines = ["| id | formula | source |", "|:--|:--|:--|"]
    return "\n".join([*lines, *(f"| `{id}` | {SCORES[id].formula} | {SCORES[id].source} |" for id in ids)])


def figures(suite: str, id: str) -> str:
    """The mean of one score over five seeds in Split MNIST, from the records."""
    records = list(PublishedStore(PUBLISHED / suite).scan().records.values())
    lines = ["| Split MNIST | finetune | joint |", "|:--|--:|--:|"]
    for setting in ("class", "domain", "task"):
        cells = [f"{setting}-incremental"]
        for pair in ((f"split-mnist/{setting}", "finetune"), (f"split-mnist/{setting}", "joint")):
            found = [score(id, r.matrix.matrix()) for r in records if (r.scenario, r.method) == pair]
            assert len(found) == 5
            cells.append(f"{100 * sum(found) / 5:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ledger_sum() -> str:
    """The sum of the committed ledger: its only line in bold that begins with a number."""
    return "> " + re.search(r"^\*\*(\d.*)\*\*$", (PUBLISHED / "reproduction.md").read_text(), re.M).group(1)


GENERATED: dict[str, Callable[..., str]] = {
    "table": published_table,
    "pretrained": pretrained_table,
    "methods": method_list,
    "scores": score_list,
    "figures": figures,
    "ledger": ledger_sum,
}


def renewed(text: str) -> str:
    """A page with its generated parts made anew."""

    def part(found: re.Match) -> str:
        kind, arguments = found[1], found[2].split()
        return f"<!-- {' '.join([kind + ':' * bool(arguments), *arguments])} -->\n\n{GENERATED[kind](*arguments)}\n\n<!-- end -->"

    kinds = "|".join(GENERATED)
    return re.sub(rf"<!-- ({kinds}):?([^\n]*?) -->\n.*?<!-- end -->", part, text, flags=re.S)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_generated_is_up_to_date(page):
    starts = len(re.findall(rf"<!-- (?:{'|'.join(GENERATED)})\b", PAGES[page]))
    assert PAGES[page].count("<!-- end -->") == starts
    assert renewed(PAGES[page]) == PAGES[page], "renew it by python -m tests.test_readme"


if __name__ == "__main__":
    for page, text in PAGES.items():
        (ROOT / page).write_text(renewed(text))
