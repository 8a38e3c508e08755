"""``arbiter rollout``: the versions on trial, and orders for them.

Owns: which rollout is meant, and how one reads. Never: a verdict.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from ..core.words import turns
from ..errors import ConfigError, UnknownName
from . import text as t

ROLLOUTS = "/arbiter/v1/rollouts"
OPEN = ("shadow", "canary", "promoting")


async def order(api: Any, o: Namespace) -> Any:
    """``list``: all; else the order, and the rollout after it."""
    known = (await api.get(ROLLOUTS))["items"]
    if o.action == "list":
        return [r for r in known if o.id in (None, r["id"], r["task"])]
    return await api.post(f"{ROLLOUTS}/{quote(_meant(known, o.id), safe='')}/{o.action}", {})


def _meant(known: Sequence[Mapping[str, Any]], wanted: str | None) -> str:
    under_way = [r for r in known if r["phase"] in OPEN]
    if wanted is None:
        if len(under_way) != 1:
            names = ", ".join(r["task"] for r in under_way) or "none is under way"
            raise ConfigError(f"which rollout? Name its task or id: {names}")
        return str(under_way[0]["id"])
    found = [r for r in (*under_way, *known) if wanted in (r["id"], r["task"])]
    if not found:
        raise UnknownName("rollout", wanted, [r["task"] for r in known])
    return str(found[0]["id"])


def said(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return line(answer)
    return "\n\n".join(line(r) for r in answer) or "no rollouts: `arbiter swap TASK VERSION --canary` begins one"


def line(r: Mapping[str, Any]) -> str:
    """One rollout in a few lines."""
    if r.get("dry_run"):
        way = "beside" if r.get("blocks") is None else "in blocks, for it does not fit into memory beside"
        return f"dry run: {r['to']} would be tried {way} {r['from']} on {r['task']}; nothing has changed"
    state = "paused" if r["paused"] and r["phase"] in OPEN else r["phase"]
    share = f" at {r['share']:.0%}" if r["phase"] == "canary" else ""
    head = f"{r['task']}: {r['to']} beside {r['from']}, {state}{share}"
    lines = [head + (f" ({r['reason']})" if r["reason"] else "")]
    worse = "unknown" if r["p_worse"] is None else f"{r['p_worse']:.2f}"
    slow = "" if r["slowdown"] is None else f", {r['slowdown']:.2f} x its latency"
    blocks = r.get("blocks")
    served = t.plural(r["canary_requests"], "request") if blocks is None else "no request"
    asked = f"{t.plural(r['pairs'], 'question')} answered by both{slow}, {served} served by the new one"
    lines.append(f"  verdict {r['verdict']}: P(worse) {worse}; {asked}")
    lines += [f"  {w['rule']}: {w['value']} (limit {w['threshold']}); {w['would_change_if']}" for w in r["why"]]
    if r["next_step_at"] is not None and r["phase"] == "canary":
        lines.append(f"  next step at {_clock(r['next_step_at'])}, if the evidence lets it")
    if blocks is not None and r["phase"] == "shadow":
        at = None if r["in_block"] else r["next_block_at"]
        later = "" if at is None else f"; the next from {_clock(at)} on, in idle time"
        lines.append(f"  one of them fits into memory: {turns(blocks, running=r['in_block'])}{later}")
    lines.append(f"  id {r['id']}")
    return t.clean("\n".join(lines))


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")
