"""Which files decide a cell, and which edits of them count."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from benchmarks.contract.load import load_methods
from benchmarks.request import plugins, source, source_imports
from benchmarks.request.code_hash import code_lines, hash_of
from benchmarks.request.repository import commit, repository
from benchmarks.request.source import CORE, commits_of, place_of, source_at, source_of
from benchmarks.request.source_imports import hashes
from benchmarks.request.source_tree import HERE, Place, Tree, tree_at
from methods import METHODS
from scenarios import SCENARIOS


def edited(path: str, old: str = "", new: str = "EDITED = 1\n") -> Tree:
    """The project with an edit of one file: at its end, or of `old`."""
    text = HERE.files[path]
    assert text is not None
    assert old in text
    return Tree(HERE.files | {path: text.replace(old, new, 1) if old else text + new})  # type: ignore[arg-type]


def flagged(tree: Tree) -> set[str]:
    """The methods whose cells have another source in `tree` than in the project."""

    def of(tree: Tree, name: str) -> dict[str, str]:
        modules = [*CORE, METHODS[name].__module__, SCENARIOS["split"].__module__, "models.mlp"]
        return hashes([place for place in map(tree.module, modules) if place])

    return {name for name in METHODS if of(tree, name) != source_of(name, "split")}


def test_a_cell_is_decided_by_its_method_its_stream_and_the_core():
    files = source_of("er", "split").keys()
    assert {"methods/er.py", "methods/parts/reservoir.py", "methods/core/method.py", "scenarios/split.py"} <= files
    assert {
        "benchmarks/cell/run.py",
        "benchmarks/cell/fit.py",
        "benchmarks/cell/evaluate.py",
        "models/mlp.py",
    } <= files
    # through what a package offers to the module that defines it, not to all that it offers
    assert not {"methods/gem.py", "methods/__init__.py", "scenarios/permuted.py", "models/vae.py"} & files
    assert not {"models/resnet.py", "models/dytox.py"} & files
    assert "models/vae.py" in source_of("dgr", "split")
    assert {"models/dytox.py", "models/attention.py"} <= source_of("joint", "split", "task-transformer").keys()
    assert "scenarios/permuted.py" in source_of("er", "permuted")
    # nor what says which cells there are and keeps their records
    assert not {"benchmarks/request/suite.py", "benchmarks/records/record.py", "benchmarks/executors/local.py"} & files


def test_every_module_of_the_core_is_there():
    assert [name for name in CORE if HERE.module(name) is None] == []


def test_an_edit_of_a_method_flags_it_and_what_imports_it():
    assert flagged(edited("methods/er.py")) == {"er"}
    assert flagged(edited("methods/joint.py")) == {"joint"}
    dependants = {n for n in METHODS if "methods/parts/episodic.py" in source_of(n, "split")}
    assert {"er", "a-gem", "gem"} <= dependants < set(METHODS)
    assert flagged(edited("methods/parts/episodic.py")) == dependants


def test_an_edit_of_the_core_flags_every_method():
    for path in ("benchmarks/cell/fit.py", "methods/core/method.py", "scenarios/split.py"):
        assert flagged(edited(path)) == set(METHODS)


def test_a_new_method_flags_none():
    listed = edited("methods/__init__.py", '    "er": "er.ER",\n', '    "er": "er.ER",\n    "er2": "er.ER",\n')
    assert flagged(listed) == set()
    offered = edited(
        "models/__init__.py", "from models.vae import VAE\n", "from models.vae import VAE\nfrom models.x import X\n"
    )
    assert flagged(offered) == set()
    # what the package's own file does is another matter
    assert flagged(edited("models/__init__.py", "nn.init.zeros_", "nn.init.ones_")) == set(METHODS)


def test_comments_docstrings_and_blank_lines_flag_none():
    text = HERE.files["methods/er.py"]
    told = text.replace("    ", "    # why\n\n    ", 1) + '\n# more\n"""and a text that does nothing"""\n'
    assert told != text
    assert flagged(Tree(HERE.files | {"methods/er.py": told})) == set()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1\n", "# é\nx = 1  # one\n\n", True),
        ('def f():\n    """Says é."""\n    return 1\n', "def f():\n    return 1\n", True),
        (
            'def f():\n    """Says é."""\n    return 1\n',
            'def f():\n    """Another\n\n    one."""\n\n    return 1\n',
            True,
        ),
        ('é = "#a"  # b\n', 'é = "#a"\n', True),
        ('x = "# a"\n', 'x = "# b"\n', False),
        ('x = """a\n\nb"""\n', 'x = """a\nb"""\n', False),
        ('x = f"""{1}\n\nb"""\n', 'x = f"""{1}\nb"""\n', False),
        ("if a:\n    x = 1\ny = 2\n", "if a:\n    x = 1\n    y = 2\n", False),
        ("x = (1 +  # one\n     2)\n", "x = (1 +\n     2)\n", True),
    ],
)
def test_what_is_code(one, other, same):
    assert (hash_of(one) == hash_of(other)) is same


def test_what_is_left_of_a_text():
    assert code_lines('"""Doc."""\nimport a  # why\n\n\nclass B:\n    x: int = 1\n    """One."""\n') == [
        "import a",
        "class B:",
        "    x: int = 1",
    ]
    package = "from a import b\nfrom c import d as e\n\n__all__ = ['b']\n\ndef f():\n    pass\n"
    assert code_lines(package, package=True) == ["from c import d as e", "def f():", "    pass"]


def test_relative_imports_and_whole_modules_are_followed():
    tree = Tree(
        {
            "methods/__init__.py": "",
            "methods/own.py": "from . import near\nfrom .near import x\nimport models\nmodels.make()\n",
            "methods/near.py": "import models.far as f\n",
            "models/__init__.py": "from models.made import make\nfrom models.not_used import other\n",
            "models/made.py": "",
            "models/far.py": "def f():\n    from metrics import late\n",
            "models/not_used.py": "",
            "metrics/__init__.py": "def late():\n    return helper()\n\ndef helper():\n    from metrics.deep import y\n",
            "metrics/deep.py": "",
        }
    )
    assert list(hashes([tree.module("methods.own")])) == [
        "methods/near.py",
        "methods/own.py",
        "metrics/__init__.py",
        "metrics/deep.py",
        "models/far.py",
        "models/made.py",
    ]


def test_thousands_of_cells_are_quick():
    pairs = [(method, stream) for method in METHODS for stream in SCENARIOS]
    for pair in pairs:
        source_of(*pair)
    begin = time.process_time()
    for k in range(3000):
        source_of(*pairs[k % len(pairs)])
    assert time.process_time() - begin < 0.5


OWN = """
from helper import factor
from methods import METHODS, Method
from package.part import other

class Mine(Method):
    about = "mine"
"""


def git(folder, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A method of one's own, in a repository of its own, with modules beside it."""
    monkeypatch.setattr(plugins._beside, "folders", [])
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "mine.py").write_text(OWN)
    (tmp_path / "methods" / "helper.py").write_text("factor = 2\n")
    (tmp_path / "methods" / "package").mkdir()
    (tmp_path / "methods" / "package" / "__init__.py").write_text("")
    (tmp_path / "methods" / "package" / "part.py").write_text("from package import more\n\nother = 1\n")
    (tmp_path / "methods" / "package" / "more.py").write_text("")
    (tmp_path / "methods" / "unused.py").write_text("")
    (tmp_path / ".gitignore").write_text("__pycache__/\n")  # which Python writes beside what it imports
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "mine")
    yield tmp_path
    for name in ("helper", "package", "package.part", "package.more"):
        sys.modules.pop(name, None)


def test_a_method_of_one_s_own_is_named_by_its_own_repository(own, monkeypatch):
    (cls,) = load_methods(own / "methods" / "mine.py")
    monkeypatch.setitem(METHODS, "mine", cls)
    mine = source_of("mine", "split")
    beside = {
        "own:methods/mine.py",
        "own:methods/helper.py",
        "own:methods/package/part.py",
        "own:methods/package/more.py",
    }
    assert {name for name in mine if name.startswith("own:")} == beside
    assert "methods/core/method.py" in mine
    assert "methods/gem.py" not in mine  # it asks for METHODS, which is no part of what it computes
    head = subprocess.run(["git", "-C", str(own), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert commits_of(cls) == {"commit": head, "retain": commit()}
    assert commits_of(METHODS["er"]) == {"commit": commit()}


def test_an_edit_beside_a_method_of_one_s_own_is_seen(own):
    (cls,) = load_methods(own / "methods" / "mine.py")
    before = hashes([place_of(cls)])
    (own / "methods" / "helper.py").write_text("factor = 3\n")
    after = hashes([place_of(cls)])
    assert {name for name in before if before[name] != after[name]} == {"own:methods/helper.py"}


def test_where_there_is_no_repository_there_is_no_commit(tmp_path):
    path = tmp_path / "site-packages" / "mine" / "method.py"
    path.parent.mkdir(parents=True)
    (path.parent / "__init__.py").write_text("")
    path.write_text("import neighbour\nfrom methods import Method\n\nclass Mine(Method):\n    about = 'mine'\n")
    (tmp_path / "site-packages" / "neighbour.py").write_text("")
    # an installed package lies among others, which are none of its source
    tree, name = source._outside(path)
    assert name == "mine/method.py"
    assert [place.path for place in source_imports._imports(Place(tree, name))] == ["methods/core/method.py"]
    assert commit(path) is None
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text("site-packages\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "a project with its packages inside")
    assert repository.__wrapped__(path) is None  # that project is not what the package is of
    assert repository.__wrapped__(tmp_path / ".gitignore") == tmp_path


def test_the_history_tells_what_decided_a_cell(tmp_path, monkeypatch):
    """A project of three files: at a commit, its registries say where a method and a stream were."""
    files = {
        "benchmarks/run.py": "from methods import Method\n",  # where it was then
        "methods/__init__.py": 'from methods.er import ER\n\nMETHODS: dict[str, type] = {"er": ER}\n',
        "methods/er.py": "x = 1\n",
        "scenarios/__init__.py": 'from scenarios.split import Split\n\nSCENARIOS = {"split": Split}\n',
        "scenarios/split.py": "# é\ny = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    tree = tree_at("HEAD", tmp_path)
    assert tree_at("no such commit", tmp_path) is None
    source_at.cache_clear()
    monkeypatch.setattr(source, "tree_at", lambda commit: tree if commit == "one" else None)
    assert source_at("one", "er", "split") == {
        "benchmarks/run.py": hash_of(files["benchmarks/run.py"]),
        "methods/er.py": hash_of("x = 1\n"),
        "scenarios/split.py": hash_of("y = 1\n"),
    }
    assert source_at("one", "gem", "split") is None
    assert source_at("another", "er", "split") is None
    source_at.cache_clear()
