"""The wheel, in an environment without this repository: the command `retain` from anywhere, beside folders of any name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

import benchmarks
from benchmarks.cli.app import app

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmarks", "methods", "metrics", "models", "scenarios")
PARTS = ("pyproject.toml", "requirements.txt", "README.md", "LICENSE")
TINY = ("run", "digits", "--methods", "finetune,er", "--scenarios", "split-digits/class", "--seeds", "1")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
SHORT = ("--set", "training.epochs=1", "--workers", "1")


def clean(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DATA_ROOT")} | more


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=clean(**environment), capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder of commands of an environment with the built wheel, and with the packages that it needs."""
    folder = tmp_path_factory.mktemp("package")
    source, wheels, target = folder / "source", folder / "wheels", folder / "env"
    source.mkdir()
    for name in PACKAGES:  # copied, so that nothing left by an older build gets in, and nothing is left here
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PARTS:
        shutil.copy(ROOT / name, source)
    wheel = ("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(wheels), str(source))
    built = run(*PIP, *wheel, cwd=folder)
    assert built.returncode == 0, built.stderr
    return environment_with(target, *map(str, wheels.glob("*")))


@pytest.fixture(scope="module")
def editable(installed) -> Path:
    """The same of an environment where `pip install -e retain` was run, as of a submodule."""
    folder = installed.parents[1]
    return environment_with(folder / "editable", "--no-build-isolation", "--editable", str(folder / "source"))


def environment_with(target: Path, *what: str) -> Path:
    venv.create(target, symlinks=True)
    paths = {"base": str(target), "platbase": str(target)}
    site = Path(sysconfig.get_path("purelib", "venv", paths))
    (site / "rest.pth").write_text(sysconfig.get_path("purelib") + "\n")
    commands = Path(sysconfig.get_path("scripts", "venv", paths))
    python = ("--python", str(commands / "python"))
    done = run(*PIP, *python, "install", "--no-deps", "--no-index", *what, cwd=target)
    assert done.returncode == 0, done.stderr
    return commands


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository of a user's own, whose folders have the names of ours."""
    for name in ("models", "metrics", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('a package of the user was imported')\n")
    for command in (("init",), ("add", "."), ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "mine")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def test_a_suite_runs_from_an_empty_folder(installed, tmp_path):
    done = run(installed / "retain", *TINY, *SHORT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "er" in done.stdout
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").rglob("*.json")]
    assert sorted(record["method"] for record in records) == ["er", "finetune"]
    for record in records:
        # no repository: the version says what ran, and the files' hashes are those of the checkout's code
        assert record["environment"]["commit"] is None
        assert record["environment"]["versions"]["retain"] == benchmarks.__version__
        assert "methods/core/method.py" in record["source"]
    assert (tmp_path / "results" / "leaderboards" / "index.html").stat().st_size > 10_000
    again = run(installed / "retain", *TINY, *SHORT, cwd=tmp_path)
    assert "2 done, 0 to run" in again.stdout


def shown(kind: str, page: str = "data.md") -> str:
    return re.search(rf"<!-- test: {kind} -->\n```\w+\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)[1]


def test_own_data_and_network_to_a_table(installed, tmp_path):
    (tmp_path / "mine.py").write_text(shown("bench"))
    done = run(installed / "python", "mine.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"own/class: class-incremental, n = 2.*^er .*^finetune \(lower\) ", done.stdout, re.S | re.M)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs" / "own").glob("*.json")]
    assert [record["status"] for record in records] == ["done"] * 4
    assert all("mine.py" in record["source"] for record in records)


def test_own_data_one_a_task_to_a_table(installed, tmp_path):
    script = shown("bench").replace("images(300), images(60)", "[images(120)] * 3, [images(60)] * 3")
    script = script.replace("tasks=3", 'setting=["domain", "task"]')
    (tmp_path / "mine.py").write_text(script)
    done = run(installed / "python", "mine.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"own/domain: .*^er .*own/task: .*^er ", done.stdout, re.S | re.M)


def test_what_comes_with_it_is_there(installed, tmp_path):
    suites = run(installed / "retain", "list", "suites", cwd=tmp_path)
    assert len(suites.stdout.splitlines()) == len(list((ROOT / "benchmarks" / "suites").glob("*.yaml")))
    missing = (
        "import sys, benchmarks; from pathlib import Path; here = Path(benchmarks.__file__).parents[1]; "
        "print([line for line in sys.stdin.read().split() if not (here / line).is_file()])"
    )
    kinds = (".yaml", ".csv", ".txt", ".html", ".css", ".js", ".md", "")
    data = [p for name in PACKAGES for p in (ROOT / name).rglob("*") if p.suffix in kinds and p.is_file()]
    names = "\n".join(p.relative_to(ROOT).as_posix() for p in data)
    command = [str(installed / "python"), "-I", "-c", missing]
    found = subprocess.run(command, cwd=tmp_path, input=names, capture_output=True, text=True)
    assert (len(data) > 40, found.stdout.strip()) == (True, "[]"), found.stderr


@pytest.mark.parametrize("command", [("retain",), ("python", "-m", "benchmarks")], ids=" ".join)
def test_folders_of_the_same_names_do_no_harm(installed, repository, command):
    if command == ("retain",):  # of which the other way to run it would be the user's own
        shutil.copytree(repository / "models", repository / "benchmarks")
    done = run(installed / command[0], *command[1:], *TINY, *SHORT, "--methods", "finetune", cwd=repository)
    assert done.returncode == 0, done.stderr
    (record,) = (repository / "results" / "runs").rglob("*.json")
    # the repository that the user stands in is not what ran
    assert json.loads(record.read_text())["environment"]["commit"] is None


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_plug_ins_beside_folders_of_the_same_names(how, repository, request):
    shutil.copytree(repository / "models", repository / "benchmarks")
    starter = ROOT / "benchmarks" / "starter"
    (repository / "helper.py").write_text("")
    (repository / "my_replay.py").write_text("import helper\n" + (starter / "my_replay.py").read_text())
    suite = (starter / "suite.yaml").read_text().replace("[task, class]", "[class]")
    (repository / "suite.yaml").write_text(suite)
    only = ("--methods", "weighted-replay", "--seeds", "1")
    done = run(request.getfixturevalue(how) / "retain", "run", "suite.yaml", *only, *SHORT, cwd=repository)
    assert done.returncode == 0, done.stderr
    assert list((repository / "results" / "runs").rglob("*.weighted-replay.*.json"))


def test_a_package_that_stands_before_ours_is_named(installed, repository):
    done = run(installed / "retain", "list", cwd=repository, PYTHONPATH=str(repository))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: {repository / 'metrics'} stands before Retain's own package 'metrics' on Python's path: take its folder "
        "out of PYTHONPATH, or install Retain into an environment of its own"
    ]


@pytest.mark.parametrize("how", ["installed", "editable", "checkout"])
def test_a_script_beside_a_folder_of_the_same_name_is_told_which(how, repository, request):
    (repository / "mine.py").write_text("from benchmarks.api import bench\n")
    python = sys.executable if how == "checkout" else request.getfixturevalue(how) / "python"
    done = run(python, "mine.py", cwd=repository, **({"PYTHONPATH": str(ROOT)} if how == "checkout" else {}))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {repository / 'metrics'} stands in the way of Retain's own package 'metrics': put the script into "
        "another folder, rename that one, or name the file of a method to `retain run --include`"
    )


def test_one_version_everywhere(installed, tmp_path):
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None
    assert cited.group(1) == benchmarks.__version__
    assert run(installed / "retain", "--version", cwd=tmp_path).stdout.startswith(f"retain {benchmarks.__version__}, ")
    ask = "from importlib.metadata import requires; print(*requires('retain'), sep='\\n')"
    required = run(installed / "python", "-c", ask, cwd=tmp_path).stdout.split()
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert sorted(required) == sorted(line for line in lines if line and not line.startswith("#"))


def test_the_requirement_of_a_repository_of_one_s_own_is_an_address(tmp_path, monkeypatch):
    address = {"url": "https://example.org/retain", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}
    monkeypatch.setattr("benchmarks.request.repository._noted", lambda: address)
    made = CliRunner().invoke(app, ["init", str(tmp_path / "mine")])
    assert made.exit_code == 0
    written = (tmp_path / "mine" / "requirements.txt").read_text()
    assert written == f"retain @ git+https://example.org/retain@{'0' * 40}\n"
    assert "git address" not in made.output


EDITS = {
    "worse": ("        stored = self.batch", "        return new\n        stored = self.batch"),
    "broken": ("        new = super", "        raise RuntimeError('not finished')\n        new = super"),
}


@pytest.mark.parametrize("how", ["installed", "submodule"])
def test_a_repository_of_one_s_own_from_init_to_the_gate(installed, tmp_path, how):
    """The first journey: a method and a suite of one's own, a table, and the gate, by the Makefile that `init` writes."""
    retain = str(installed / "retain")
    made = run(retain, "init", "mine", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    mine = tmp_path / "mine"
    assert len((mine / "README.md").read_text().splitlines()) <= 10
    # installed from no git address: never a name that the package index has of somebody else
    assert (mine / "requirements.txt").read_text().startswith("retain @ git+https://retain.invalid/")
    assert "put Retain's git address there" in made.stdout
    assert run(retain, "init", "mine", cwd=tmp_path).returncode == 2
    (mine / "metrics").mkdir()  # folders of the names of ours
    (mine / "models").mkdir()
    if how == "submodule":
        for name in PACKAGES:
            shutil.copytree(ROOT / name, mine / "retain" / name, ignore=shutil.ignore_patterns("__pycache__"))
        retain = f"env PYTHONPATH={mine / 'retain'} {sys.executable} -m benchmarks"
    suite = (mine / "suite.yaml").read_text()  # smaller, and faster
    suite = suite.replace("seeds: 5", "seeds: 3").replace("settings: [task, class]", "settings: [class]")
    (mine / "suite.yaml").write_text(suite.replace("  joint:\n", "").replace("epochs: 5", "epochs: 3"))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(mine))

    def commit() -> None:
        for command in (("init",), ("add", "-A"), ("commit", "--allow-empty", "-m", "mine")):
            assert run(*git, *command, cwd=tmp_path).returncode == 0

    def gate() -> subprocess.CompletedProcess[str]:
        return run("make", "gate", f"RETAIN={retain}", cwd=mine, OMP_NUM_THREADS="1")

    commit()
    table = run("make", "champion", f"RETAIN={retain}", cwd=mine, OMP_NUM_THREADS="1")
    assert table.returncode == 0, table.stderr
    assert "weighted-replay" in table.stdout
    record = next(json.loads(p.read_text()) for p in (mine / "results").rglob("*.weighted-replay.*.json"))
    head = run(*git, "rev-parse", "HEAD", cwd=tmp_path).stdout.strip()
    assert record["environment"]["commit"] == head  # of the user's repository
    assert "my_replay.py" in record["source"]
    commit()
    same = gate()
    assert (same.returncode, "verdict: pass" in same.stdout) == (0, True), same.stderr
    method = (mine / "my_replay.py").read_text()
    for edit, (old, new) in EDITS.items():
        (mine / "my_replay.py").write_text(method.replace(old, new))
        commit()
        shutil.rmtree(mine / "results")  # CI has none
        said = gate()
        expected = "verdict: fail" if edit == "worse" else "not finished"
        assert (said.returncode, expected in said.stdout + said.stderr) == (2, True), (
            said.stdout + said.stderr
        )  # make's
        verdict = run(
            *retain.split(), *("gate", "--champion", "champion.json", "--challenger", "weighted-replay"),
            *("--suite", "suite.yaml"), cwd=mine, OMP_NUM_THREADS="1",
        )  # fmt: skip
        assert verdict.returncode == {"worse": 1, "broken": 2}[edit], verdict.stdout + verdict.stderr


def test_predictions_of_another_program_from_manifest_to_gate(installed, tmp_path):
    """The third journey: a manifest, a program in numpy alone, its predictions scored, in a table, compared, gated."""
    retain, cell = str(installed / "retain"), ("--scenarios", "split-digits/class", "--seeds", "3")
    program = shown("other-program", "other-tools.md")

    def did(*command: str, code: int = 0) -> str:
        done = run(*command, cwd=tmp_path, OMP_NUM_THREADS="1")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def scored(text: str, *more: str) -> None:
        """With numpy and the standard library alone: no package of Retain's can be imported."""
        (tmp_path / "program.py").write_text(f"import sys; sys.path[:] = [p for p in sys.path if p]\n{text}")
        files = [f"manifests/split-digits.class.seed{seed}.npz" for seed in range(3)]
        blocked = "import sys; sys.modules.update(dict.fromkeys(%r)); import runpy; runpy.run_path('program.py')"
        did(str(installed / "python"), "-I", "-c", blocked % ((*PACKAGES, "torch"),), *files)
        for seed, file in enumerate(files):
            given = ("--manifest", file, "--name", "nearest-mean", "--provenance", "nearest class mean", *more)
            did(retain, "score", f"split-digits.class.seed{seed}.predictions.npz", *given)

    did(retain, "manifest", "digits", *cell, "--images", "--output", "manifests")
    scored(program, "--memory", "0")
    table = did(retain, "run", "digits", "--methods", "finetune,nearest-mean", *cell, *SHORT)
    assert re.search(r"^nearest-mean .*^finetune \(lower\) .*another program, scored here", table, re.S | re.M)
    (compared,) = tmp_path.glob("results/leaderboards/*/*.comparison.md")
    assert "| against nearest-mean" in compared.read_text()
    chosen = ("--champion", "champion.json", "--challenger", "nearest-mean")
    did(retain, "promote", *chosen, "--suite", "digits", *cell)
    assert "verdict: pass" in did(retain, "gate", *chosen)
    worse = program.replace(".mean(axis=0)", "[0]")  # one image instead of the mean of all
    assert worse != program
    scored(worse, "--memory", "0", "--replace")
    assert "verdict: fail" in did(retain, "gate", *chosen, code=1)
