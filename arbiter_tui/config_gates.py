"""The [[constitution]] blocks (rules that hold whatever is measured, and their waivers) and the [[webhooks]] blocks.

Owns: their keys and checks. Never: what a rule means (core/constitution.py), who breaks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from .config_reader import Where, setting
from .core.constitution import Rule, Waiver
from .core.registry import VERSION_NAME

SECRET_SCHEMES = ("env:", "keyring:", "file:")
WEBHOOK_EVENTS = ("swap-started", "swap-complete", "swap-failed", "rolled-back")
NAME = VERSION_NAME.pattern.strip("^$")


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiverBlock:
    task: str = setting(kind="text", pattern=NAME, required=True, help="for which the rule is suspended")
    reason: str = setting(kind="text", required=True, help="why; shown as long as it holds")
    until: str = setting(kind="text", required=True, help='last day, "2026-12-31", or a moment, local time')


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBlock:
    """One [[constitution]] block."""

    name: str = setting(kind="text", pattern=NAME, required=True, help="unique; a refusal names it")
    tasks: tuple[str, ...] = setting((), kind="texts", help="binds these")
    labels: tuple[str, ...] = setting(
        (), kind="texts", help="binds tasks with one of these; private tasks have private"
    )
    local: bool = setting(False, kind="flag", help="only models that run on this machine")
    providers: tuple[str, ...] = setting((), kind="texts", help="only models of these providers")
    reason: str = setting("", kind="text", help="said with each refusal")
    waivers: tuple[WaiverBlock, ...] = setting(
        (), kind="sections", section=WaiverBlock, help="suspend it for a task, with a reason and an end"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookBlock:
    """One [[webhooks]] block. ``url`` may be a reference, too: many services put a secret into it."""

    name: str = setting(kind="text", pattern=NAME, required=True, help="unique; alerts say it, never the address")
    url: str = setting(kind="text", required=True, help="https://…, or a reference to it")
    events: tuple[str, ...] = setting(WEBHOOK_EVENTS, kind="texts", choices=WEBHOOK_EVENTS, help="which")
    secret: str | None = setting(None, kind="text", help="signs each message: env:NAME, keyring:NAME or file:PATH")


def check_webhooks(blocks: Sequence[WebhookBlock], where: Where) -> None:
    """Raises ConfigError; what may be a secret is not shown."""
    for i, block in enumerate(blocks):
        at = where.item(i)
        if block.secret is not None and not block.secret.startswith(SECRET_SCHEMES):
            raise at.key("secret").error("…", "must be a reference: env:NAME, keyring:NAME or file:PATH, never a value")
        if not block.url.startswith(("http://", "https://", *SECRET_SCHEMES)):
            raise at.key("url").error("…", "must be an address (https://…), or a reference to one")


def rules_of(blocks: Sequence[RuleBlock]) -> tuple[Rule, ...]:
    """The blocks, already checked, as rules."""
    return tuple(
        Rule(
            name=b.name, tasks=b.tasks, labels=b.labels, local=b.local, providers=b.providers, reason=b.reason,
            waivers=tuple(Waiver(task=w.task, reason=w.reason, until=end_of(w.until)) for w in b.waivers),
        )
        for b in blocks
    )  # fmt: skip


def end_of(text: str) -> float:
    """Unix seconds of the end of a day, or of a moment; without a zone in this machine's. Raises ValueError."""
    if len(text) == len("2026-12-31"):
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time()).astimezone().timestamp()
    return datetime.fromisoformat(text).astimezone().timestamp()


def check_rules(blocks: Sequence[RuleBlock], where: Where) -> None:
    """Raises ConfigError."""
    for i, block in enumerate(blocks):
        at = where.item(i)
        if not block.local and not block.providers:
            raise at.error(block.name, "forbids nothing: it needs local = true, or providers")
        for j, waiver in enumerate(block.waivers):
            here = at.key("waivers").item(j)
            if not waiver.reason.strip():
                raise here.key("reason").error(waiver.reason, "must say why")
            try:
                end_of(waiver.until)
            except (ValueError, OverflowError):
                raise here.key("until").error(waiver.until, 'must be a day, as in "2026-12-31", or a moment') from None
