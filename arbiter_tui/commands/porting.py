"""``export`` and ``import``: everything learnt, out of a state folder and into one.

Owns: files, and how a report reads. Never: what is in an archive, what wins (the engine says).

A file is written beside its name and then moved there: an export that is broken off leaves what was there before.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ArbiterError, ConfigError
from ..wire import error_from_problem
from . import signals
from . import text as t
from .connect import client, refuse_read_only
from .work import cancelled, follow

MOST = 64 * 2**20  # bytes that an engine takes (engine/archive.py); more is not even read
PLAIN = "-"
_ONE = {"aliases": "alias"}


def export(options: Namespace) -> int:
    return signals.run(_export(options))


async def _export(options: Namespace) -> int:
    async with client(options, without_engine="offline") as api:
        begun = asyncio.ensure_future(api.export(options.what))
        try:
            quiet = options.json or options.file == PLAIN
            operation = await follow(api, await asyncio.shield(begun), quiet=quiet, tell_end=False)
        except asyncio.CancelledError:
            await cancelled(api, await begun, options)
            t.note("export cancelled; no file was written")
            raise
        _check(operation)
        data = await api.archive(operation["id"])
    if options.file == PLAIN:
        sys.stdout.buffer.write(gzip.decompress(data))
        sys.stdout.buffer.flush()
        return 0
    written = _write(options.file, data)
    result = dict(operation["result"])
    if options.json:
        t.out_json({"file": str(options.file), **result, "bytes": written})
    else:
        t.out(f"{options.file}: {exported(result['counts'])} ({t.size(written)})")
    return 0


def exported(counts: Mapping[str, int]) -> str:
    """What is in an archive, in words."""
    return ", ".join(_many(n, kind) for kind, n in counts.items()) or "nothing learnt yet"


def _many(n: int, kind: str) -> str:
    if kind in ("traffic", "statistics"):
        return kind
    return t.plural(n, kind, "aliases" if kind == "alias" else None)


def _write(name: str, packed: bytes) -> int:
    """Readable by its owner alone, as the state folder is. Returns its bytes. Raises ConfigError."""
    path = Path(name).expanduser()
    data = packed if path.suffix == ".gz" else gzip.decompress(packed)
    try:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror or error}") from error
    return len(data)


def take_in(options: Namespace) -> int:
    if not options.dry_run:
        refuse_read_only(options, "import")
    return signals.run(_take_in(options, _read(options.file)))


def _read(name: str) -> bytes:
    """Raises ConfigError."""
    try:
        if name == PLAIN:
            data = sys.stdin.buffer.read(MOST + 1)
        else:
            with open(Path(name).expanduser(), "rb") as file:
                data = file.read(MOST + 1)
    except OSError as error:
        raise ConfigError(f"{name} can't be read: {error.strerror or error}") from error
    if len(data) > MOST:
        raise ConfigError(f"{name} has more than {t.size(MOST)}, which no engine takes: pack it (gzip), or export less")
    return data


async def _take_in(options: Namespace, data: bytes) -> int:
    async with client(options, without_engine="offline") as api:
        begun = asyncio.ensure_future(api.import_archive(data, dry_run=options.dry_run))
        try:
            operation = await follow(api, await asyncio.shield(begun), quiet=options.json, tell_end=False)
        except asyncio.CancelledError:
            await cancelled(api, await begun, options)
            t.note("import cancelled; nothing was written")
            raise
        _check(operation)
    if options.json:
        t.out_json(operation["result"])
    else:
        t.out(imported(operation["result"]))
    return 0


def _check(operation: Mapping[str, Any]) -> None:
    """Raises what it failed with."""
    if operation["state"] == "failed":
        raise error_from_problem(operation.get("result") or {}, operation["message"])
    if operation["state"] != "done":
        raise ArbiterError(f"{operation['kind']} {operation['state']}: {operation['message']}")


def _here(version: Mapping[str, Any]) -> str:
    """What a version of the archive is called here."""
    here = version["here"]
    return "not here: kept" if not here else "the same" if here == [version["version"]] else ", ".join(here)


def imported(told: Mapping[str, Any]) -> str:
    """The report of an import."""
    would = "would be new" if told["dry_run"] else "new"
    new = [_many(n, _ONE.get(what, what.removesuffix("s"))) for what, n in told["new"].items() if n]
    where = (
        "on this machine" if told["same_machine"] else "on another machine: its seconds, bytes and joules don't count"
    )
    lines = [
        f"made {t.clock(told['made_at'])} by arbiter {told['arbiter']}, {where}",
        f"{would}: {', '.join(new)}" if new else "nothing is new: all of it is known here",
    ]
    rows = [[v["version"], _here(v), str(v["outcomes"]), str(v["graded"])] for v in told["versions"]]
    if rows:
        lines += ["", t.table(["version", "here", "outcomes", "graded"], rows, "llrr")]
    if told["kept"]:
        lines += ["", "what is here stays:", *(f"  {k['what']}: {k['why']}" for k in told["kept"])]
    if told["skipped"]:
        kinds = ", ".join(f"{n} of {kind}" for kind, n in told["skipped"].items())
        lines.append(f"lines that this arbiter does not know were left out: {kinds}")
    return "\n".join(lines)
