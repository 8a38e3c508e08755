"""core/ decides and touches nothing: no I/O, no clock, no randomness of its own, nothing that waits."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import arbiter_tui.core

FILES = sorted(Path(arbiter_tui.core.__file__).parent.rglob("*.py"))
PURE = {
    "__future__", "abc", "ast", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "enum",
    "functools", "hashlib", "heapq", "itertools", "json", "math", "operator", "re", "statistics", "string", "struct",
    "types", "typing", "unicodedata", "zlib",
}  # fmt: skip
TYPES_ONLY = {"random"}  # only its Random: seeded, or handed in; nothing is drawn from the module's own
CALLS = {"open", "print", "input", "eval", "exec", "__import__"}
NOWS, CLOCKS = {"now", "utcnow", "today"}, ("datetime", "date")


def faults(source: str) -> list[str]:
    tree, found = ast.parse(source), []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
            if names[0] in TYPES_ONLY and {alias.name for alias in node.names} == {"Random"}:
                names = []
        elif isinstance(node, ast.ImportFrom) and node.level > 1 and (node.module or "") != "errors":
            names = ["." * node.level + (node.module or "")]
        elif isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(f"line {node.lineno}: async")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
            found.append(f"line {node.lineno}: {node.func.id}()")
        elif isinstance(node, ast.Attribute) and node.attr in NOWS and ast.unparse(node.value).endswith(CLOCKS):
            found.append(f"line {node.lineno}: .{node.attr}")
        found += [f"line {node.lineno}: import {n}" for n in names if n.partition(".")[0] not in PURE]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_a_module_of_core_is_pure(path: Path) -> None:
    """What it imports can neither read, write, wait nor draw lots."""
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import socket", "from time import monotonic", "import random", "from random import choice", "open('x')",
     "async def f(): ...", "from ..engine import pool", "import datetime\ndatetime.datetime.now()", "import os.path"],
)  # fmt: skip
def test_what_is_impure_is_seen(source: str) -> None:
    """The check can fail."""
    assert faults(source)
    assert "socket" in sys.stdlib_module_names
