"""How far judges can be trusted: recorded verdicts of LLM judges on pairs whose better answer is known.

LLMBar and its neighbours: every judge was asked in both orders; a verdict counts where both agree. The panel's votes
are learnt on one half of the pairs and counted on the other. *natural* is written as people write, the adversarial
subsets are made so that the worse answer looks better. PandaLM: two judges, one order, against most of three humans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import traces
from harness import emit

from arbiter_tui.core.judging import (
    FIRST,
    SECOND,
    TIE,
    Agreement,
    Verdict,
    agreement,
    always_longest,
    by_judge,
    cross_fitted,
    trust,
)

WINNERS = {"0": TIE, "Tie": TIE, "1": FIRST, "2": SECOND}


def llmbar() -> dict[str, list[Verdict]]:
    """subset -> verdicts."""
    found: dict[str, list[Verdict]] = {}
    for row in traces.rows("llmbar_judges.csv.gz"):
        one = Verdict(
            item="/".join((row["src"], row["subset"], row["prompt"], row["item"])), judge=row["judge"],
            label=int(row["label"]), asis=WINNERS.get(row["winner_asis"]), swapped=WINNERS.get(row["winner_swapped"]),
            len1=float(row["len1"]), len2=float(row["len2"]),
        )  # fmt: skip
        kind = "adversarial" if "/" in row["subset"] else row["subset"].lower()
        found.setdefault(kind, []).append(one)
    return found


def pandalm() -> list[Verdict]:
    """Only pairs on which two of the three humans agree."""
    found = []
    for row in traces.rows("pandalm_human3.csv.gz"):
        label, votes = Counter(row[f"annotator{n}"] for n in (1, 2, 3)).most_common(1)[0]
        for judge in ("judge_gpt35", "judge_pandalm7b") if votes > 1 else ():
            found.append(
                Verdict(
                    item=row["idx"], judge=judge, label=WINNERS[label], asis=WINNERS.get(row[judge]), both=False,
                    len1=float(row["len1"] or 0), len2=float(row["len2"] or 0),
                )
            )  # fmt: skip
    return found


def told(found: Agreement) -> dict[str, Any]:
    names = ("pairs", "accuracy", "coverage", "accuracy_asis", "kappa", "consistency", "longer")
    return {name: rounded(getattr(found, name)) for name in names}


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def line(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    judges = by_judge(verdicts)
    return {
        "all": told(agreement(verdicts)),
        "panel": told(agreement(cross_fitted(verdicts))),
        "judges": {name: {**told(agreement(of)), "trust": rounded(trust(of).weight)} for name, of in judges.items()},
        "always_longest": rounded(always_longest(verdicts)),
    }


def main() -> None:
    measured = {**{name: line(of) for name, of in sorted(llmbar().items())}, "pandalm": line(pandalm())}
    best = max(one["kappa"] for one in measured["pandalm"]["judges"].values())
    measured["pandalm_best_kappa"] = best
    met = measured["natural"]["panel"]["accuracy"] >= 0.95 and best >= 0.53
    must = {
        "natural pairs": "verdicts that count are right >= .95, coverage stated",
        "PandaLM": "kappa >= .53 with most of three humans",
    }
    emit("judging", must, measured, met)


if __name__ == "__main__":
    main()
