"""``arbiter replay judge``: how far can the verdicts of a judge be trusted, by pairs whose better answer is known?

Owns: the columns of such a file, the answer in fields and in words. Never: the arithmetic (core/judging.py).
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ..core.judging import (
    FIRST,
    SECOND,
    TIE,
    Agreement,
    Verdict,
    agreement,
    always_longest,
    by_judge,
    corrected,
    cross_fitted,
    trust,
)
from ..errors import ConfigError
from . import text as t
from .recorded import Row, amount, read_rows

Answer = dict[str, Any]
WINNERS = {"1": FIRST, "2": SECOND, "tie": TIE, "0": TIE}
NOT_THE_ITEM = frozenset({"judge", "label", "winner_asis", "winner_swapped", "len1", "len2"})


def judge(options: Namespace) -> Answer:
    """Each judge by itself, all verdicts together, and what the judges say together (weighted on other pairs)."""
    verdicts = _read(options.file)
    judges = by_judge(verdicts)
    pooled = agreement(verdicts)
    answer: Answer = {
        "rows": len(verdicts), "pairs": len({v.item for v in verdicts}), **_rounded(pooled),
        "always_longest": _round(always_longest(verdicts)),
        "judges": [_of(name, of) for name, of in judges.items()],
        "trust": {name: _round(trust(of).weight) for name, of in judges.items()},
    }  # fmt: skip
    if len(judges) > 1:
        answer["panel"] = _rounded(agreement(cross_fitted(verdicts)))
    return answer


def _of(name: str, verdicts: Sequence[Verdict]) -> Answer:
    known = trust(verdicts)
    decided = [v for v in verdicts if v.winner != TIE]
    share = corrected(sum(v.winner == FIRST for v in decided), len(decided), known)
    return {
        "judge": name, **_rounded(agreement(verdicts)), "sensitivity": _round(known.sensitivity),
        "specificity": _round(known.specificity), "trust": _round(known.weight),
        "first_wins": None if share is None else {"share": _round(share[0]), "sd": _round(share[1])},
    }  # fmt: skip


def _read(file: str) -> list[Verdict]:
    found: list[Verdict] = []
    seen: set[tuple[str, str]] = set()
    for where, row in read_rows(file, ("item", "label", "judge", "winner_asis"), gaps=True):
        one = _verdict(row, where)
        if (one.item, one.judge) in seen:
            raise ConfigError(f"{where}: {one.judge} has judged this pair already")
        seen.add((one.item, one.judge))
        found.append(one)
    return found


def _verdict(row: Row, where: str) -> Verdict:
    label = _winner(row["label"], f"{where}: label")
    if label is None:
        raise ConfigError(f"{where}: no label; 1, 2 or tie")
    if row["item"] in (None, "") or row["judge"] in (None, ""):
        raise ConfigError(f"{where}: no item, or no judge")
    return Verdict(
        item="\x1f".join(f"{name}={value}" for name, value in sorted(row.items()) if name not in NOT_THE_ITEM),
        judge=str(row["judge"]), label=label, asis=_winner(row["winner_asis"], f"{where}: winner_asis"),
        swapped=_winner(row.get("winner_swapped"), f"{where}: winner_swapped"), both="winner_swapped" in row,
        len1=amount(row.get("len1"), f"{where}: len1"), len2=amount(row.get("len2"), f"{where}: len2"),
    )  # fmt: skip


def _winner(value: Any, where: str) -> int | None:
    """None where the judge named none. Raises ConfigError."""
    text = "" if value is None else str(value).strip().lower().removesuffix(".0")
    if text == "":
        return None
    if text not in WINNERS:
        raise ConfigError(f"{where} is {value!r}: 1, 2 or tie")
    return WINNERS[text]


def _rounded(found: Agreement) -> Answer:
    return {name: _round(value) for name, value in asdict(found).items() if name != "pairs"}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def said(answer: Mapping[str, Any]) -> str:
    head = ["judge", "accuracy", "coverage", "first order", "kappa", "consistent", "longer", "trust"]
    keys = ("accuracy", "coverage", "accuracy_asis", "kappa", "consistency", "longer")
    rows = [(one["judge"], one, one["trust"]) for one in answer["judges"]]
    rows.append(("all verdicts", answer, None))
    if "panel" in answer:
        rows.append(("all judges together", answer["panel"], None))
    table = t.table(head, [[name, *(_cell(of[key]) for key in keys), _cell(weight)] for name, of, weight in rows])
    longest = answer["always_longest"]
    told = "" if longest is None else f"\nthe longer answer is the better one in {longest:.1%} of the pairs"
    return (
        f"{table}\n{t.plural(answer['pairs'], 'pair')}; a verdict counts where both orders agree; trust: the exact "
        f"grades that one is worth{told}"
    )


def _cell(value: float | None) -> str:
    return t.DASH if value is None else f"{value:.3f}"
