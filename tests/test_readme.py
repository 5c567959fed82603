"""Every command and snippet of the README is run, and its numbers are those of committed records."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.cli.app import app
from benchmarks.records.published import PublishedStore
from benchmarks.request.grid import make_grid
from benchmarks.request.load import load_suite
from methods import METHODS
from metrics import score

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def block(name: str) -> str:
    """The code block after `<!-- test: name -->`."""
    return re.search(rf"<!-- test: {name} -->\n```\w+\n(.*?)```", README, re.S).group(1)


def test_every_code_block_is_run_by_a_test_here():
    named = len(re.findall(r"<!-- test: \w+ -->", README))
    make_blocks = [b for b in re.findall(r"```bash\n(.*?)```", README, re.S) if b.startswith("make ")]
    assert named + len(make_blocks) == README.count("```") // 2


def test_python_api_in_twelve_lines(capsys):
    code = block("api")
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    exec(compile(code, "README", "exec"), {})
    printed = capsys.readouterr().out
    assert "untrained" in printed
    assert float(printed.splitlines()[0]) > 0.6


@pytest.mark.parametrize("name", ["commands", "images", "ledger"])
def test_commands(name, tmp_path):
    for line in block(name).splitlines():
        words = shlex.split(line)
        assert words[:3] == ["python", "-m", "benchmarks"]
        words[0] = sys.executable
        if words[3] not in ("list", "cost"):
            words += ["--results-dir", str(tmp_path)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip()


def test_gate_commands(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for line in block("gate").splitlines():
        words = [sys.executable, *shlex.split(line)[1:]]
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    verdict = (tmp_path / "verdict.md").read_text()
    assert "### Gate: pass" in verdict
    assert "equal bit for bit" in verdict


def test_the_workflow_to_copy_uses_commands_that_exist():
    steps = yaml.safe_load(block("workflow"))["jobs"]["gate"]["steps"]
    lines = [step["run"].partition("python -m benchmarks ")[2] for step in steps if "benchmarks" in step.get("run", "")]
    known = {command.name or command.callback.__name__: command for command in app.registered_commands}
    assert len(lines) == 2
    for line in lines:
        verb, *words = shlex.split(line)
        shown = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "300"}).output
        assert verb in known
        assert all(word in shown for word in words if word.startswith("--")), line


def test_the_method_shown_passes_the_check(tmp_path):
    (tmp_path / "my_method.py").write_text(block("method"))
    done = CliRunner().invoke(app, ["check", str(tmp_path / "my_method.py")])
    assert done.exit_code == 0, done.output
    assert "keeps the contract" in done.output


def test_make_commands_exist():
    for line in re.findall(r"^make [^#\n`]*", README, re.M):
        done = subprocess.run(["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_the_array_of_the_cluster_covers_the_grid():
    words = shlex.split(block("cluster"))
    first, last = re.search(r"--array=(\d+)-(\d+)", block("cluster")).groups()
    seen = []
    for k in range(int(first), int(last) + 1):
        script = words[words.index("--wrap") + 1].replace("make ", "make -n ", 1)
        environment = os.environ | {"SLURM_ARRAY_TASK_ID": str(k)}
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = [line.replace("'", "") for line in done.stdout.splitlines() if "benchmarks run cifar100-b50" in line]
        assert [f"--shard {k}/8" in line and "--gpus 0" in line for line in lines] == [True]
        seen += make_grid(load_suite("cifar100-b50")).shard(f"{k}/8").cells
    assert len({cell.identity for cell in seen}) == len(make_grid(load_suite("cifar100-b50")).cells)


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


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


SHOWN = ("method", "ACC,", "BWT", "FM (", "LA", "training", "memory")
"""How the columns begin that README shows of the published table."""


def published_table(suite: str, scenario: str) -> str:
    """The columns shown of one scenario's table as it stands in the published markdown."""
    text = (ROOT / "results" / "published" / suite / f"{suite}.md").read_text()
    section = re.search(rf"^#+ {re.escape(scenario)}\b.*?(?=^#+ |\Z)", text, re.S | re.M).group(0)
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    kept = [k for k, cell in enumerate(rows[0]) if cell.strip().startswith(SHOWN)]
    return "\n".join(f"|{'|'.join(row[k] for k in kept)}|" for row in rows)


@pytest.mark.skipif(not (ROOT / "results/published/mnist").exists(), reason="suite mnist is not published yet")
def test_the_table_shown_is_the_published_one():
    suite, scenario = re.search(r"<!-- table: (\S+) (\S+) -->", README).groups()
    shown = re.search(r"<!-- table: \S+ \S+ -->\n\n(.*?)\n\n", README, re.S).group(1)
    table = "\n".join(line for line in shown.splitlines() if line.startswith("|"))
    assert table == published_table(suite, scenario)


@pytest.mark.skipif(not (ROOT / "results/published/mnist").exists(), reason="suite mnist is not published yet")
def test_the_figures_compared_are_those_of_the_published_records():
    table = re.search(r"<!-- figures: mnist acc -->\n(.*?)\n\n", README, re.S).group(1).splitlines()
    methods = [cell.strip() for cell in table[0].strip("|").split("|")][1:]
    records = list(PublishedStore(ROOT / "results/published/mnist").scan().records.values())
    for line in table[2:]:
        setting, *figures = (cell.strip() for cell in line.strip("|").split("|"))
        for method, figure in zip(methods, figures, strict=True):
            scenario = f"split-mnist/{setting.removesuffix('-incremental')}"
            found = [score("acc", r.matrix.matrix()) for r in records if (r.scenario, r.method) == (scenario, method)]
            assert len(found) == 5
            assert f"{100 * sum(found) / 5:.2f}" == figure


@pytest.mark.skipif(not (ROOT / "results/published/reproduction.md").exists(), reason="no protocol is published yet")
def test_the_ledgers_sum_is_that_of_the_committed_page():
    shown = re.search(r"<!-- ledger -->\n> (.*)", README).group(1)
    assert f"**{shown}**" in (ROOT / "results/published/reproduction.md").read_text().splitlines()


if __name__ == "__main__":  # `python -m tests.test_readme`: the table shown as it is published now
    suite, scenario = re.search(r"<!-- table: (\S+) (\S+) -->", README).groups()
    table = published_table(suite, scenario)
    renewed = re.sub(r"(<!-- table: \S+ \S+ -->\n\n).*?(?=\n\n)", lambda found: found[1] + table, README, flags=re.S)
    (ROOT / "README.md").write_text(renewed)
