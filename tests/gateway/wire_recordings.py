"""Recordings of a real Ollama, and what of an answer a client may rely on: its status and the shape of its fields.

The recordings lie outside the project: ``ARBITER_WIRE`` names their folder, else ``shared/wire`` beside the checkout
or above it. Where they are not, the tests that replay them are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ABSENT = "the recordings of a real Ollama are not on this machine (ARBITER_WIRE names their folder)"


_SENT = ("host", "origin", "content-type")


@dataclass(frozen=True)
class Exchange:
    """One request and what the real server answered."""

    file: str
    name: str
    method: str
    path: str
    body: str | None
    headers: dict[str, str]
    status: int
    kind: str
    text: str
    complete: bool

    @property
    def id(self) -> str:
        return f"{self.file}.{self.name}"


def folder() -> Path | None:
    here = Path(__file__).resolve()
    places = [os.environ.get("ARBITER_WIRE"), *(p / "shared" / "wire" for p in here.parents), "/work/shared/wire"]
    return next((Path(p) for p in places if p and (Path(p) / "ollama").is_dir()), None)


def recorded(*files: str) -> list[Exchange]:
    """The exchanges of some files in their order; empty where there are no recordings."""
    base = folder()
    return [] if base is None else [e for name in files for e in _read(base / "ollama" / f"{name}.jsonl")]


def _read(path: Path) -> Iterator[Exchange]:
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        asked, said = told["request"], told["response"]
        headers = {k.lower(): v for k, v in said["headers"]}
        yield Exchange(
            file=path.stem, name=told["name"], method=asked["method"], path=asked["path"], body=asked["body"],
            headers={k.lower(): v for k, v in asked["headers"] if k.lower() in _SENT},
            status=said["status"], kind=headers.get("content-type", "").split(";")[0],
            text="".join(said["chunks"]) if "chunks" in said else said["body"] or "",
            complete=bool(said.get("complete", True)),
        )  # fmt: skip


def messages(kind: str, text: str) -> list[Any]:
    """The JSON values of a body: one, one a line, or one an event."""
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if kind == "text/event-stream":
        data = (line[5:].strip() for line in text.splitlines() if line.startswith("data:"))
        return [json.loads(d) for d in data if d != "[DONE]"]
    return [json.loads(text)] if text.strip().startswith(("{", "[")) else []


def missing(real: Any, ours: Any, at: str = "") -> list[str]:
    """What the real answer has and ours has not, or has in another type; lists are compared by their first item."""
    if isinstance(real, Mapping):
        if not isinstance(ours, Mapping):
            return [f"{at or '.'}: an object became {type(ours).__name__}"]
        return [
            problem
            for key, value in real.items()
            for problem in (
                missing(value, ours[key], f"{at}.{key}") if key in ours else [f"{at}.{key}: is not there"]
            )
        ]  # fmt: skip
    if isinstance(real, list) and isinstance(ours, list):
        if not real:
            return []
        return missing(real[0], ours[0], f"{at}[]") if ours else [f"{at}: is empty"]
    if _kind(real) != _kind(ours):
        return [f"{at}: {_kind(real)} became {_kind(ours)}"]
    return []


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "text", type(None): "null", list: "list", dict: "object"}.get(type(value), type(value).__name__)
