"""``arbiter replay``: what would the policy have done on recorded data? No model is loaded, no state read or written.

Owns: reading the file (CSV or JSONL, .gz or not), the seeded orders, the answer. Never: a rule (core/ has them).
The same file, options and seed give the same bytes; time is told on stderr, and only with ``--timing``.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
import statistics
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ..core.replay import Pair, RolloutReplay, replay_rollout
from ..core.rollout import Plan
from ..core.trial import Rule, Trial, Verdict
from ..errors import ConfigError
from . import text as t

Row = Mapping[str, Any]


def replay(options: Namespace) -> int:
    began = time.perf_counter()
    answer = {"rollout": rollout}[options.kind](options)
    if options.json:
        t.out_json(answer)
    else:
        t.out(_say_rollout(answer))
    if options.timing:
        t.note(f"replayed in {time.perf_counter() - began:.3f} s")
    return 0


def rollout(options: Namespace) -> dict[str, Any]:
    """One order, or ``--repeat`` of them."""
    pairs = [_pair(row, where) for where, row in read_rows(options.file, ("old", "new"))]
    plan = Plan(rule=cast(Rule, options.rule))
    runs = [_one(options, pairs, plan, repeat) for repeat in range(max(1, options.repeat))]
    first = _as_dict(runs[0])
    return first if options.repeat <= 1 else {**first, "repeats": len(runs), "rates": _rates(runs)}


def _one(options: Namespace, pairs: Sequence[Pair], plan: Plan, repeat: int) -> RolloutReplay:
    chance = random.Random(f"{options.seed}/{repeat}")
    order = list(pairs)
    chance.shuffle(order)
    known = Trial()
    if options.incumbent_results > 0:
        before = chance.choices(pairs, k=options.incumbent_results)
        known = known.known(sum(p.old for p in before) / len(before), len(before))
    return replay_rollout(
        order, plan=plan, known=known, requests_per_hour=options.requests_per_hour, shadow=options.shadow,
        salt=f"{options.seed}/{repeat}",
    )  # fmt: skip


def _as_dict(run: RolloutReplay) -> dict[str, Any]:
    return {
        "verdict": str(run.verdict), "canary_requests": run.canary_requests, "requests": run.requests,
        "pairs": run.pairs, "p_worse": None if run.p_worse is None else round(run.p_worse, 6),
        "ramp": [{"at_s": at, "share": share} for at, share in run.ramp],
        "reason": run.reason, "reasons": [asdict(why) for why in run.why],
    }  # fmt: skip


def _rates(runs: Sequence[RolloutReplay]) -> dict[str, Any]:
    back = [run.canary_requests for run in runs if run.verdict is Verdict.ROLL_BACK]
    rates = {str(v): round(sum(run.verdict is v for run in runs) / len(runs), 4) for v in Verdict}
    return {**rates, "median_canary_requests": statistics.median(back) if back else None}


def _say_rollout(answer: Mapping[str, Any]) -> str:
    lines = [
        f"verdict: {answer['verdict']} after {answer['requests']} requests, {answer['canary_requests']} of them by the "
        f"new version ({answer['pairs']} pairs)",
        answer["reason"],
    ]
    lines += [
        f"  {w['rule']}: {w['value']} (limit {w['threshold']}); {w['would_change_if']}" for w in answer["reasons"]
    ]
    if "rates" in answer:
        told = ", ".join(f"{name} {value}" for name, value in answer["rates"].items())
        lines.append(f"in {answer['repeats']} orders: {told}")
    return "\n".join(line for line in lines if line)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pair(row: Row, where: str) -> Pair:
    return Pair(
        share(row["old"], f"{where}: old"), share(row["new"], f"{where}: new"),
        seconds(row.get("old_latency_s"), f"{where}: old_latency_s"),
        seconds(row.get("new_latency_s"), f"{where}: new_latency_s"),
    )  # fmt: skip


def share(value: Any, where: str) -> float:
    """A quality. Raises ConfigError."""
    found = _number(value, where)
    if found is None or not 0.0 <= found <= 1.0:
        raise ConfigError(f"{where} is {value!r}: a quality is a number from 0 to 1")
    return found


def seconds(value: Any, where: str) -> float | None:
    """None where it is not told. Raises ConfigError."""
    found = _number(value, where)
    if found is not None and found < 0.0:
        raise ConfigError(f"{where} is {value!r}: seconds can't be negative")
    return found


def _number(value: Any, where: str) -> float | None:
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where} is {value!r}, not a number") from None
    if not math.isfinite(found):
        raise ConfigError(f"{where} is {value!r}, not a finite number")
    return found


def read_rows(name: str, needed: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """(place, row) of a CSV or JSONL file, .gz or not; further columns are left alone. Raises ConfigError."""
    path = Path(name)
    try:
        opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            count = 0
            for number, row in _rows(file, path):
                missing = [column for column in needed if row.get(column) in (None, "")]
                if missing:
                    raise ConfigError(f"{path}, row {number}: no {', '.join(missing)}; it has {', '.join(row)}")
                count += 1
                yield f"{path}, row {number}", row
    except (OSError, UnicodeDecodeError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path} can't be read: {reason}") from error
    if not count:
        raise ConfigError(f"{path} has no rows; columns {', '.join(needed)} are needed")


def _rows(file: Any, path: Path) -> Iterator[tuple[int, Row]]:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    if plain.suffix not in (".jsonl", ".ndjson"):
        yield from ((n, row) for n, row in enumerate(csv.DictReader(file), start=2))
        return
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, row {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{path}, row {number}: not an object")
        yield number, row
