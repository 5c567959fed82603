"""The layout says what it holds, and imports point one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from methods import METHODS, WHERE

ROOT = Path(__file__).parents[1]
BELOW = {
    "benchmarks": {"methods", "models", "scenarios", "metrics"},
    "methods": {"models", "scenarios", "metrics"},
    "models": {"scenarios"},
    "scenarios": set(),
    "metrics": {"scenarios"},
}
"""Packages, and those that each may import."""
ROAD = (
    "request",
    "records",
    "cell",
    "watch",
    "cost",
    "executors",
    "scoring",
    "tuning",
    "report",
    "gate",
    "ledger",
    "contract",
    "selftest",
    "cli",
    "speed",
    "starter",
)
"""Packages of benchmarks/ in the order of a cell's way: each imports those before it."""


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("package", BELOW)
def test_packages_import_only_those_below_them(package):
    upwards = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files(package)
        for name in imports(path)
        if (first := name.split(".")[0]) in BELOW and first != package and first not in BELOW[package]
    ]
    assert upwards == []


def test_imports_in_benchmarks_go_back_along_the_road():
    found = {path.parts[-2] if path.parent.parent == ROOT / "benchmarks" else "" for path in files("benchmarks")}
    assert {folder for folder in found if folder} <= set(ROAD)
    upwards = [
        f"{path.relative_to(ROOT)}: {name}"
        for k, folder in enumerate(ROAD)
        for path in files(f"benchmarks/{folder}")
        for name in imports(path)
        if name.startswith("benchmarks.") and name.split(".")[1] in ROAD[k + 1 :]
    ]
    assert upwards == []


def test_methods_import_parts_and_parts_import_the_core():
    shared = {path.stem: "parts" for path in files("methods/parts")} | {p.stem: "core" for p in files("methods/core")}
    own = {where.partition(".")[0] for where in WHERE.values()}
    upwards = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder, above in (("methods/core", {"parts", *own}), ("methods/parts", own))
        for path in files(folder)
        for name in imports(path)
        if name.startswith("methods.") and name.split(".")[1] in above
    ]
    assert upwards == []
    assert shared


def test_methods_holds_methods_and_a_line_for_each():
    here = {path.stem for path in (ROOT / "methods").glob("*.py")} - {"__init__"}
    assert here == {where.partition(".")[0] for where in WHERE.values()}
    for name, where in WHERE.items():
        assert f"{METHODS[name].__module__}.{METHODS[name].__name__}" == f"methods.{where}"
