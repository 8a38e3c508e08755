"""``key create|list|rotate|revoke``. Owns: their words; the one time that a key is shown. Never: stores one."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ..errors import ConfigError
from . import text as t
from .connect import client, refuse_read_only

KEYS = "/arbiter/v1/keys"


def key(options: Namespace) -> int:
    if options.action != "list":
        refuse_read_only(options, f"key {options.action}")
        if not options.name:
            raise ConfigError(f"which key? `arbiter key {options.action} NAME`")
    answer = asyncio.run(_ask(options))
    if options.json:
        t.out_json(answer)
    elif options.action == "list":
        t.out(_listed(answer["items"]))
    elif options.action == "revoke":
        t.out(f"{answer['name']} ({answer['id']}) opens nothing any more")
    else:
        _show(answer)
    return 0


async def _ask(o: Namespace) -> dict[str, Any]:
    async with client(o) as api:
        match o.action:
            case "create":
                return dict(await api.post(KEYS, _body(o)))
            case "rotate":
                body = {} if o.overlap is None else {"overlap_s": o.overlap}
                return dict(await api.post(f"{KEYS}/{quote(o.name, safe='')}/rotate", body))
            case "revoke":
                return dict(await api.delete(f"{KEYS}/{quote(o.name, safe='')}"))
            case _:
                return dict(await api.get(KEYS, {"limit": 1000}))


def _body(o: Namespace) -> dict[str, Any]:
    given = {
        "name": o.name, "scope": o.scope, "tasks": o.task or None, "default_task": o.default_task,
        "requests_per_minute": o.requests_per_minute, "tokens_per_minute": o.tokens_per_minute,
        "expires_in_s": o.expires,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}


def _show(answer: Mapping[str, Any]) -> None:
    """The key alone on stdout, so that it can be piped into a file; the rest beside it."""
    t.out(str(answer["token"]))
    t.note(f"{answer['name']} ({answer['id']}), scope {answer['scope']}: keep it now, it is not shown again")
    if answer.get("old_secret_until"):
        t.note(f"the old one still opens until {t.clock(answer['old_secret_until'])}")


def _listed(items: list[dict[str, Any]]) -> str:
    if not items:
        return "no keys: `arbiter key create NAME` makes one"
    rows = [
        [k["name"], k["id"], k["scope"], ", ".join(k["tasks"]) or "all", _rate(k["requests_per_minute"]),
         _rate(k["tokens_per_minute"]), t.clock(k["expires_at"]) if k["expires_at"] else t.DASH, k["state"]]
        for k in items
    ]  # fmt: skip
    return t.table(["name", "id", "scope", "tasks", "requests/min", "tokens/min", "until", "state"], rows, "llllrrll")


def _rate(value: float | None) -> str:
    return t.DASH if value is None else f"{value:g}"
