"""``run``, ``bench``, ``register``: commands that let a model work, with progress, and can be stopped with ctrl+c.

Owns: streaming to the terminal, progress lines. Never: the measuring.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from argparse import Namespace
from typing import Any
from urllib.parse import quote

from ..errors import ConfigError
from . import signals
from . import text as t
from .connect import client, refuse_read_only
from .write import V1, WAIT_S


def run(options: Namespace) -> int:
    prompt = sys.stdin.read() if options.prompt == "-" else options.prompt
    if not prompt.strip():
        raise ConfigError("the prompt is empty: `arbiter run TASK PROMPT`, or the prompt on standard input")
    return signals.run(_run(options, prompt))


async def _run(options: Namespace, prompt: str) -> int:
    extra = {} if options.max_tokens is None else {"max_tokens": options.max_tokens}
    async with client(options, without_engine="start") as api:
        pieces: list[str] = []
        answer = api.run(options.task, prompt, **extra)
        async for piece in answer:
            pieces.append(piece)
            if not options.json:
                sys.stdout.write(t.clean(piece))
                sys.stdout.flush()
        served = dict(answer.served)
    if options.json:
        t.out_json({"text": "".join(pieces), **served})
    else:
        print()
        task = f" for {served['task']}" if served.get("task") else ""
        t.note(f"{served.get('model')}{task}  ({served.get('request_id')})")
    return 0


def bench(options: Namespace) -> int:
    refuse_read_only(options, "bench")
    return signals.run(_bench(options))


async def _bench(options: Namespace) -> int:
    async with client(options, without_engine="start") as api:
        body: dict[str, Any] = {"tasks": options.tasks or None, "versions": options.model or None}
        begun = asyncio.ensure_future(api.post(f"{V1}/bench", {k: v for k, v in body.items() if v}))
        try:
            operation = await follow(api, await asyncio.shield(begun), quiet=options.json)
        except asyncio.CancelledError:
            await cancelled(api, await begun, options)
            t.note("bench cancelled; what was measured is kept, the next `arbiter bench` goes on from there")
            raise
        snapshot = await api.get(f"{V1}/snapshot")
    if options.json:
        t.out_json({"operation": operation, "tasks": snapshot["tasks"]})
    else:
        t.out(leaderboards(snapshot, options.tasks))
    return 0 if operation["state"] == "done" else 1


async def cancelled(api: Any, operation: dict[str, Any], options: Namespace) -> None:
    await api.delete(f"{V1}/operations/{operation['id']}")
    if sys.stderr.isatty() and not options.json:
        sys.stderr.write("\n")  # below the line of its progress


async def follow(api: Any, operation: dict[str, Any], *, quiet: bool, tell_end: bool = True) -> dict[str, Any]:
    """Poll until it ends; a line that grows in place on a terminal, a tenth elsewhere; how it ended, if badly."""
    tty, shown = sys.stderr.isatty(), -1
    while operation["state"] == "running":
        percent = int(operation["progress"] * 100)
        eta = f", {t.duration(operation['eta_s'])} left" if operation.get("eta_s") else ""
        line = f"{operation['kind']} {percent}%{eta}  {operation['message']}"
        if not quiet and tty:
            sys.stderr.write(f"\r\x1b[K{t.clean(line)[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()
        elif not quiet and percent // 10 != shown:
            shown = percent // 10
            t.note(line)
        await asyncio.sleep(0.25)
        operation = await api.get(f"{V1}/operations/{operation['id']}")
    if not quiet and tty:
        sys.stderr.write("\r\x1b[K")
    if operation["state"] != "done" and not quiet and tell_end:
        t.note(f"{operation['kind']} {operation['state']}: {operation['message']}")
    return operation


def leaderboards(snapshot: dict[str, Any], only: list[str]) -> str:
    blocks = []
    for task in snapshot["tasks"]:
        if only and task["task"] not in only:
            continue
        rows = [
            ["◆" if r["version"] == task["incumbent"] else "", r["version"], t.share(r["utility"]),
             t.share(r.get("p_best")), t.share(r["quality"]), t.duration(r["latency_p50_s"]),
             t.size(r["memory_bytes"]), str(r["samples"])]
            for r in task["leaderboard"]
        ]  # fmt: skip
        head = ["", task["task"], "utility", "P(best)", "quality", "p50", "mem", "n"]
        blocks.append(t.table(head, rows, "llrrrrrr"))
    return "\n\n".join(blocks)


def register(options: Namespace) -> int:
    refuse_read_only(options, "register")
    return signals.run(_register(options))


def _source(options: Namespace) -> tuple[str, str]:
    """(provider, source): a path is made absolute, for the engine may run elsewhere in the file system.

    Another runtime's own name (``org/name``) stays as it is: with a provider named, what is no file here is one.
    """
    source: str = options.source
    if source.startswith(("http://", "https://")):
        block = f'[[providers]]\nname = "box"\nkind = "openai_compatible"\nbase_url = "{source}"'
        raise ConfigError(f"a server's address belongs into arbiter.toml, then `arbiter discover --apply`:\n{block}")
    if source.startswith("ollama:"):
        return options.provider or "ollama", source
    path = os.path.abspath(os.path.expanduser(source))
    if options.provider and not os.path.exists(path) and not source.endswith(".gguf"):
        return options.provider, source
    return options.provider or "llama_server", path


async def _register(options: Namespace) -> int:
    provider, source = _source(options)
    body = {"provider": provider, "source": source, **({"name": options.name} if options.name else {})}
    async with client(options, without_engine="offline") as api:
        answer = await _pull(api, body, options) if options.pull else await api.post(f"{V1}/models", body)
        if answer is None:
            return 1
        known = bool(answer.get("known"))
        if options.activate:
            path = f"{V1}/models/{quote(answer['version'], safe='')}/activate"
            answer = {**await api.post(path, {}, params={"wait": WAIT_S}), "known": known}
    if options.json:
        t.out_json(answer)
        return 0
    t.out(f"{'already known as ' if known else ''}{answer['version']}: {answer['lifecycle']}")
    if answer["lifecycle"] == "draft":
        name = answer["version"]
        t.out(f'  try it: arbiter run {name} "Hello"    use it for tasks: arbiter activate {name}')
    return 0


async def _pull(api: Any, body: dict[str, Any], options: Namespace) -> dict[str, Any] | None:
    """The version, once its runtime has fetched it; None where that failed, which has been said."""
    begun = asyncio.ensure_future(api.post(f"{V1}/models", {**body, "pull": True}))
    try:
        operation = await follow(api, await asyncio.shield(begun), quiet=options.json)
    except asyncio.CancelledError:
        await cancelled(api, await begun, options)
        t.note("pull cancelled; the same command goes on from there")
        raise
    if operation["state"] != "done":
        if options.json:
            t.out_json(operation)
        return None
    return dict(operation["result"])
