"""The archive of everything learnt: which lines it has, and what each field may be.

Owns: the format's name and version, the kinds of lines, their checks. Never: bytes, files (engine/archive.py), what
becomes of a line that is taken in (knowledge.py).

An archive is JSON lines. The first is the header: format, version, who made it and when, how many lines of each kind
follow, and the sha256 of every byte after the first line. A field that this arbiter doesn't know is left alone, a kind
that it doesn't know is counted and skipped; what it can't read at all has a higher version, and is refused.

Lines that teach: model, task, profile, traffic, alias, outcome. Lines for people, worked out from them or from what
stays behind: statistics, swap, rollout. No line holds a prompt, an answer, a key, a path or what a person wrote about
an answer.

``origin`` is the random name of the state folder that learnt something, ``machine`` a fingerprint of what it ran on. A
line without an origin is the header's own; one with another was learnt elsewhere before, and is passed on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .cost import Failure
from .intake import MOST
from .learning import BUCKETS
from .lengths import LONGEST
from .registry import VERSION_NAME
from .shapes import Check, flag, listing, maybe, number, one_of, record, table, text, whole
from .tasks import Preference
from .traffic import MEMORY, WEEK

FORMAT, VERSION = "arbiter-archive", 1
WHAT: Mapping[str, tuple[str, ...]] = {  # word of a person -> kinds of lines
    "models": ("model",), "tasks": ("task",), "profiles": ("profile",), "traffic": ("traffic",),
    "aliases": ("alias",), "outcomes": ("outcome",), "statistics": ("statistics",), "history": ("swap", "rollout"),
}  # fmt: skip
TEACHING = ("model", "task", "profile", "traffic", "alias", "outcome")

TASK_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
ORIGIN = re.compile(r"[A-Za-z0-9]{8,64}")
OUTCOME_ID = re.compile(r"[\x21-\x7e]{1,200}")
WORD = re.compile(r"[a-z0-9_]{1,32}")
DIGITS = re.compile(r"\d{1,3}")
SHA = re.compile(r"[0-9a-f]{64}")
LATEST = 4e9  # unix seconds, in 2096
MANY = 2**53

_share, _moment, _amount, _count = number(0.0, 1.0), number(0.0, LATEST), number(0.0, MOST), whole(0, MANY)
_origin, _task, _version = text(ORIGIN), text(TASK_NAME), text(VERSION_NAME)


def _bucket(most: int) -> Check:
    def check(value: Any, path: str) -> str | None:
        right = isinstance(value, str) and DIGITS.fullmatch(value) and int(value) <= most
        return None if right else f"{path} must be a whole number from 0 to {most}"

    return check


_PATTERN = record({
    "floor": number(1e-9, 1e9), "n": whole(0, MANY), "total": number(0.0, 1e18),
    "counts": table(_bucket(BUCKETS - 1), whole(0, MANY), most=BUCKETS),
})  # fmt: skip
_PROFILE = record({
    "requests": _count, "successes": _count, "failures": table(text(WORD), _count, most=64),
    "latency": _PATTERN, "ttft": _PATTERN, "memory": _PATTERN, "prompt_tokens": _PATTERN, "answer_tokens": _PATTERN,
    "quality_n": _count, "quality_sum": number(0.0, float(MANY)),
    "by_length": table(_bucket(LONGEST), listing(_count, least=2, most=2), most=LONGEST + 1),
    "preferences": table(one_of(*Preference), _count, most=len(Preference)), "updated_at": maybe(_moment),
})  # fmt: skip

HEADER = record({
    "format": one_of(FORMAT), "version": whole(1, MANY), "arbiter": text(most=64), "made_at": _moment,
    "origin": _origin, "machine": text(most=64), "counts": table(text(WORD), _count, most=64), "sha256": text(SHA),
}, {
    "machines": table(_origin, text(most=64), most=10_000),
})  # fmt: skip
_HEARD = {"origin": _origin, "at": _moment}  # of lines that may be passed on: who said so, and when
LINES: Mapping[str, Check] = {
    "model": record({
        "version": _version, "provider": maybe(text(most=64)), "name": text(most=256), "digest": maybe(text(most=256)),
    }, {
        **_HEARD, "quantization": maybe(text(most=64)), "family": maybe(text(most=128)),
        "parameters": maybe(_count), "file_bytes": maybe(_count), "context": maybe(_count),
        "capabilities": listing(text(most=64), most=64), "licence": maybe(text(most=256)),
    }),
    "task": record({"task": _task, "settings": table(text(WORD), lambda value, path: None, most=64)}, {
        "changed": table(text(WORD), lambda value, path: None, most=64),
    }),
    "profile": record({"task": _task, "profile": _PROFILE}, _HEARD),
    "traffic": record({
        "rates": listing(number(0.0, 1e9), least=WEEK, most=WEEK),
        "seen": listing(whole(0, MEMORY), least=WEEK, most=WEEK),
    }, _HEARD),
    "alias": record({"alias": _version, "version": _version}),
    "outcome": record({
        "id": text(OUTCOME_ID), "task": _task, "version": _version, "at": _moment, "success": flag,
    }, {
        "origin": _origin, "latency_s": _amount, "ttft_s": _amount, "queue_s": _amount, "overhead_s": _amount,
        "tokens_in": whole(0, int(MOST)), "tokens_out": whole(0, int(MOST)), "memory_bytes": whole(0, int(MOST)),
        "cpu_s": _amount, "energy_j": _amount, "money": _amount, "failure": one_of(*Failure), "quality": _share,
        "quality_source": text(WORD), "source": text(WORD), "tokens_estimated": flag,
    }),
}  # fmt: skip


def amiss(kind: str, line: Mapping[str, Any]) -> str | None:
    """What is wrong with a line of a kind that teaches; None if nothing is, and for every other kind."""
    check = LINES.get(kind)
    found = None if check is None else check(line, "")
    return found or (_uneven(line["profile"]) if kind == "profile" else None)


def _uneven(profile: Mapping[str, Any]) -> str | None:
    """Sums that can't be true of any past."""
    if profile["successes"] > profile["requests"]:
        return f"profile.successes must be at most its {profile['requests']} requests, not {profile['successes']}"
    if profile["quality_sum"] > profile["quality_n"] + 1e-6:
        return f"profile.quality_sum must be at most its {profile['quality_n']} grades, not {profile['quality_sum']}"
    return None


def kinds(what: list[str] | None) -> frozenset[str]:
    """Of lines, for these words of WHAT; all without any. Outcomes mean nothing without the models that they are of."""
    chosen = {kind for word in what or WHAT for kind in WHAT[word]}
    return frozenset(chosen | {"model"} if "outcome" in chosen or "alias" in chosen else chosen)
