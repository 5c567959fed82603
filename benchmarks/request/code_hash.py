"""A hash of what a Python file does: comments, docstrings and blank lines do nothing."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from functools import cache


@cache
def parse(text: str) -> ast.Module:
    """The syntax tree; an empty one where there is none: what cannot be imported imports nothing."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


@cache
def nodes(tree: ast.AST) -> list[ast.AST]:
    """All of a syntax tree."""
    return list(ast.walk(tree))


@cache
def hash_of(text: str, package: bool = False) -> str:
    """16 hex digits of the code in `text`. package: of a package's own file, whose list of what the package offers
    (imports, __all__) decides nothing."""
    return hashlib.sha256("\n".join(code_lines(text, package)).encode()).hexdigest()[:16]


def code_lines(text: str, package: bool = False) -> list[str]:
    """The lines of `text` without comments, docstrings and blank lines. By the places that `ast` and `tokenize` give, not
    by their own rendering of the code, which differs from one Python to the next."""
    module = parse(text)
    if not module.body:
        return text.split("\n")
    lines = [line.encode() for line in text.split("\n")]  # columns count bytes
    dropped = [n for n in nodes(module) if isinstance(n, ast.Expr) and _is_docstring(n)]
    offers = [n for n in module.body if _is_offer(n)] if package else []
    cuts = [(n.lineno, n.col_offset, n.end_lineno or n.lineno, n.end_col_offset) for n in (*dropped, *offers)]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            cuts.append((line, len(token.line[:column].encode()), line, None))
    # blank lines inside of a text are part of it
    starts = {cut[:2] for cut in cuts}
    texts = [n for n in nodes(module) if isinstance(n, (ast.Constant, ast.JoinedStr))]
    kept = {
        line
        for n in texts
        if (n.lineno, n.col_offset) not in starts
        for line in range(n.lineno, n.end_lineno or n.lineno)
    }
    for first, start, last, end in sorted(cuts, key=lambda cut: cut[:2], reverse=True):
        after = b"" if end is None else lines[last - 1][end:]
        lines[first - 1] = lines[first - 1][:start] + after
        for line in range(first, last):
            lines[line] = b""
    return [
        line.decode() if n in kept else line.decode().rstrip()
        for n, line in enumerate(lines, 1)
        if line.strip() or n in kept
    ]


def _is_docstring(node: ast.Expr) -> bool:
    """A text that is a statement does nothing: a docstring of a module, class, function or attribute."""
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_offer(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not any(alias.asname for alias in node.names)
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
