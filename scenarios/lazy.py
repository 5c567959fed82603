"""Names without what defines them: torch takes a second to import, and to list methods or refuse a wrong one needs none."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class LazyClasses(MutableMapping[str, type[T]]):
    """Classes by name, each imported when it is first asked for.

    where: name -> "module.Class", the module in `package`.
    """

    def __init__(self, package: str, where: Mapping[str, str]):
        self._package = package
        self._known: dict[str, str | type[T]] = dict(where)

    def __getitem__(self, name: str) -> type[T]:
        found = self._known[name]
        if isinstance(found, str):
            module, _, cls = found.rpartition(".")
            found = getattr(import_module(f"{self._package}.{module}"), cls)
            self._known[name] = found
        return found

    def imported(self, name: str) -> type[T] | None:
        """The class of that name where it is there already."""
        found = self._known.get(name)
        return None if isinstance(found, str) else found

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __setitem__(self, name: str, cls: type[T]) -> None:
        self._known[name] = cls

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def offers(package: str, file: str) -> Callable[[str], Any]:
    """The `__getattr__` (PEP 562) of a package: a name that its `file` imports under `if TYPE_CHECKING:` is imported
    when it is first asked for. So each stands there once, for type checkers and for Python alike."""
    blocks = (node for node in ast.parse(Path(file).read_text(encoding="utf-8")).body if isinstance(node, ast.If))
    imports = (node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom))
    where = {alias.name: str(node.module) for node in imports for alias in node.names}

    def __getattr__(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(where[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
