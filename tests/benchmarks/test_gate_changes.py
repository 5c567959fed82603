"""Which champions a change of the code concerns, and what CI makes of a verdict."""

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from benchmarks.gate.champion import promote
from benchmarks.gate.changes import champions_of, main, method_files
from methods import METHODS
from tests.benchmarks.test_gate import runs, side

ROOT = Path(__file__).resolve().parent.parent.parent


def concerned(folder: Path, *changed: str) -> list[str]:
    return [path.name for path, _ in champions_of(changed, folder)]


@pytest.fixture
def champions(tmp_path) -> Path:
    promote(runs(), tmp_path / "er.json")
    promote(side(list(runs(method="gem").records["split-digits/domain"].values()), "gem"), tmp_path / "gem.json")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("methods/er.py", ["er.json"]),
        ("methods/gem.py", ["gem.json"]),
        ("methods/parts/episodic.py", ["er.json", "gem.json"]),  # imported by both
        ("methods/parts/reservoir.py", ["er.json", "gem.json"]),
        ("methods/core/method.py", ["er.json", "gem.json"]),
        ("methods/core/__init__.py", ["er.json", "gem.json"]),
        ("methods/parts/fisher.py", []),
        ("methods/__init__.py", ["er.json", "gem.json"]),  # says which class a name stands for
        ("methods/ewc.py", []),
        ("benchmarks/cell/run.py", ["er.json", "gem.json"]),
        ("benchmarks/cell/fit.py", ["er.json", "gem.json"]),
        ("benchmarks/cell/evaluate.py", ["er.json", "gem.json"]),
        ("benchmarks/executors/local.py", ["er.json", "gem.json"]),
        ("models/mlp.py", ["er.json", "gem.json"]),
        ("scenarios/split.py", ["er.json", "gem.json"]),
        ("scenarios/class_orders/pycil-1993.yaml", ["er.json", "gem.json"]),
        ("metrics/accuracy_matrix.py", ["er.json", "gem.json"]),
        ("benchmarks/suites/digits.yaml", ["er.json", "gem.json"]),
        ("benchmarks/suites/mnist.yaml", []),
        ("requirements.lock", ["er.json", "gem.json"]),
        ("benchmarks/report/table.py", []),
        ("README.md", []),
        ("tests/methods/test_er.py", []),
    ],
)
def test_a_file_concerns_the_champions_whose_cells_it_decides(champions, file, expected):
    assert (ROOT / file).is_file()
    assert concerned(champions, file) == expected


def test_a_champion_s_own_file_concerns_it_and_no_other():
    committed = ROOT / "results" / "champions"
    assert concerned(committed, "results/champions/er.json") == ["er.json"]
    assert concerned(committed, "results/champions/previous/er.1.json") == []


def test_suites_that_a_suite_is_like_count(tmp_path):
    suite = tmp_path / "own.yaml"
    suite.write_text("like: beside.yaml\n")
    (tmp_path / "beside.yaml").write_text("like: digits\n")
    promote(side(list(runs().records["split-digits/domain"].values())), tmp_path / "champions" / "er.json")
    text = (tmp_path / "champions" / "er.json").read_text()
    (tmp_path / "champions" / "er.json").write_text(text.replace('"suite": "digits"', f'"suite": "{suite}"'))
    assert concerned(tmp_path / "champions", "benchmarks/suites/digits.yaml") == ["er.json"]
    assert concerned(tmp_path / "champions", suite.as_posix()) == ["er.json"]
    assert concerned(tmp_path / "champions", (tmp_path / "beside.yaml").as_posix()) == ["er.json"]


def test_every_method_s_files_hold_its_own():
    for name, cls in METHODS.items():
        assert cls.__module__.replace(".", "/") + ".py" in method_files([name])
    assert "methods/ewc.py" not in method_files(["er"])
    assert {"methods/ewc.py", "methods/er.py"} <= method_files(["a method that is gone"])


def test_names_champions_with_all_that_a_run_needs(tmp_path, monkeypatch, capsys):
    promote(runs(), tmp_path / "er.json")
    promote(runs(0.01), tmp_path / "er.json")
    monkeypatch.setattr("sys.stdin", io.StringIO("methods/er.py\n"))
    main(tmp_path)
    assert capsys.readouterr().out == f"{tmp_path}/er.json\ter\tdigits\tsplit-digits/domain\t0,1,2,3,4\n"


def test_a_champion_that_is_removed_or_broken_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{tmp_path}/er.json\n"))
    main(tmp_path)
    assert "er.json is removed" in capsys.readouterr().err
    (tmp_path / "er.json").write_text("{")
    monkeypatch.setattr("sys.stdin", io.StringIO("methods/er.py\n"))
    with pytest.raises(SystemExit) as ended:
        main(tmp_path)
    assert ended.value.code == 2
    assert "cannot read the champion" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"title: [x", b"title: \xff"], ids=["YAML", "text"])
def test_a_champion_whose_suite_is_broken_is_said(tmp_path, monkeypatch, capsys, content):
    suite = tmp_path / "own.yaml"
    suite.write_bytes(content)
    promote(replace(runs(), suite=str(suite)), tmp_path / "champions" / "er.json")
    monkeypatch.setattr("sys.stdin", io.StringIO("README.md\n"))
    with pytest.raises(SystemExit) as ended:
        main(tmp_path / "champions")
    assert ended.value.code == 2
    assert f"error: cannot read the suite {suite}: " in capsys.readouterr().err


# ---- the workflow --------------------------------------------------------------------------------------------


def judged(folder: Path, code: int, before: int | None = None) -> subprocess.CompletedProcess:
    """The workflow's step that runs and judges, with commands in place of ours that end with `code`; `before`: with
    which the champion of the base, where the change has another one."""
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yml").read_text())["jobs"]["gate"]["steps"]
    script = next(step["run"] for step in steps if step.get("name", "").startswith("Run the methods"))
    python, git = folder / ".venv" / "bin" / "python", folder / "bin" / "git"
    for path in (python, git):
        path.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(
        f"#!/bin/sh\necho verdict: $*\n[ $3 = run ] && exit 0\ncase $5 in *before*) exit {before or 0};; esac\nexit {code}\n"
    )
    git.write_text(f"#!/bin/sh\n{'exit 1' if before is None else 'echo another champion'}\n")
    for path in (python, git):
        path.chmod(0o755)
    (folder / "er.json").write_text("champion")
    (folder / "champions.tsv").write_text("er.json\ter\tdigits\tsplit-digits/class\t0,1\n")
    variables = {"RUNNER_TEMP": str(folder), "SUITE": "digits", "BASE": "main"}
    variables |= {"GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "PATH": f"{git.parent}:/usr/bin:/bin"}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("code", "ends", "said"),
    [(0, 0, ""), (1, 1, "::error::er"), (2, 1, "::error::er"), (3, 0, "::warning::er"), (139, 1, "::error::er")],
    ids=["pass", "fail", "refused", "inconclusive", "killed"],
)
def test_the_workflow_fails_on_all_but_a_pass_and_too_few_seeds(tmp_path, code, ends, said):
    done = judged(tmp_path, code)
    assert done.returncode == ends, done.stdout + done.stderr
    assert said in done.stdout
    assert ("::" in done.stdout) == bool(said)


@pytest.mark.parametrize(
    ("before", "ends", "said"),
    [(0, 0, ""), (1, 1, "::error::er.before"), (2, 0, "::warning::er.before"), (3, 0, "::warning::er.before")],
)
def test_a_change_of_the_champion_is_judged_against_the_one_before(tmp_path, before, ends, said):
    done = judged(tmp_path, 0, before)
    assert done.returncode == ends, done.stdout + done.stderr
    assert "er.json itself was changed" in done.stdout
    assert said in done.stdout
