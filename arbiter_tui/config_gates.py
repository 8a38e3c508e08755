"""The [[constitution]] blocks (rules that hold whatever is measured, and their waivers), the [[webhooks]] blocks, and
where secrets may not stand.

Owns: their keys and checks. Never: what a rule means (core/constitution.py), who breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from .config_reader import Where, setting
from .core.constitution import Rule, Waiver
from .core.registry import VERSION_NAME

SECRET_SCHEMES = ("env:", "keyring:", "file:")
WEBHOOK_EVENTS = ("swap-started", "swap-complete", "swap-failed", "rolled-back")
_SECRET_KEY = re.compile(r"(?i)(.*[_-])?(api)?(key|token|password|passwd|secret|authorization)")
_SECRET_FLAG = re.compile(r"(?i)--?([\w-]*[_-])?(api[_-]?key|token|password|secret)")
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


def check_secrets(options: Mapping[str, Any], where: Where) -> None:
    """What is named like a secret is a reference, at any depth. Raises ConfigError, which never shows the value: it may
    well be the key."""
    for key, value in options.items():
        at = where.key(str(key))
        if isinstance(value, Mapping):
            check_secrets(value, at)
        elif _SECRET_KEY.fullmatch(str(key)) and not _is_reference(value):
            raise at.error("…", "must be a reference: env:NAME, keyring:NAME or file:PATH, never a value")
        elif isinstance(value, list | tuple) and (flag := _told_a_secret(value)) is not None:
            problem = f"{flag} would be seen by everybody on this machine: give the secret in env, by reference"
            raise at.error("…", problem)


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(SECRET_SCHEMES)


def _told_a_secret(words: Sequence[Any]) -> str | None:
    """The flag of a command behind which a secret stands."""
    for word, following in zip(words, (*words[1:], ""), strict=True):
        flag, _, told = str(word).partition("=")
        if _SECRET_FLAG.fullmatch(flag) and (told or following):
            return flag
    return None


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
