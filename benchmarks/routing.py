"""Routing each prompt by what can be read off it, against the best model of its task, on recorded answers.

Half of each task's prompts are learnt from, the others are routed; 5 seeded halves. Every model is taken to cost the
same, so nothing is bought by asking a dearer one. The gain is told as a share of the best model's quality; the oracle
is the best answer to each prompt. A cascade needs the confidence of each answer, which these recordings lack.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import statistics
from concurrent.futures import ProcessPoolExecutor

import traces
from harness import emit

from arbiter_tui.core.difficulty import Graded, features, learn

SEEDS, LEAST, GAP = 5, 60, 0.02
Task = list[Graded]


def recorded() -> dict[str, Task]:
    """task -> prompts, with the grades of all models in the order of their names."""
    prompts: dict[str, str] = {}
    path = traces.PLACE / "llmrouter9_items.jsonl.gz"
    if not path.is_file():
        raise SystemExit(f"{path.name} is not here; ARBITER_TRACES names the folder of the recorded outcomes")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for text in file:
            item = json.loads(text)
            prompts[str(item["item"])] = item["prompt"]
    grades: dict[str, dict[str, dict[str, float]]] = {}
    for row in traces.rows("llmrouter9_quality.csv.gz"):
        grades.setdefault(row["task"], {}).setdefault(row["item"], {})[row["model"]] = float(row["quality"])
    return {
        task: [Graded(features(prompts[item]), [of[m] for m in sorted(of)]) for item, of in sorted(items.items())]
        for task, items in grades.items()
        if len(items) >= LEAST
    }


def once(job: tuple[Task, int]) -> tuple[float, float, float, float]:
    """Quality routed, of the best model, of the oracle; the share that was routed away."""
    rows, seed = job
    order = random.Random(seed).sample(rows, len(rows))
    taught, asked = order[: len(order) // 2], order[len(order) // 2 :]
    known = learn(taught)
    chosen = [known.route(row.features) for row in asked]
    routed = statistics.fmean(row.grades[c] for row, c in zip(asked, chosen, strict=True))
    best = statistics.fmean(row.grades[known.best] for row in asked)
    oracle = statistics.fmean(max(row.grades) for row in asked)
    return routed, best, oracle, statistics.fmean(c != known.best for c in chosen)


def main() -> None:
    tasks = recorded()
    jobs = [(name, (rows, seed)) for name, rows in sorted(tasks.items()) for seed in range(SEEDS)]
    with ProcessPoolExecutor(os.cpu_count()) as workers:
        done = list(workers.map(once, [job for _, job in jobs], chunksize=2))
    lines = {}
    for name in sorted(tasks):
        runs = [run for (of, _), run in zip(jobs, done, strict=True) if of == name]
        routed, best, oracle, away = (statistics.fmean(run[i] for run in runs) for i in range(4))
        lines[name] = {
            "gain": round(routed / best - 1.0, 5), "oracle_gain": round(oracle / best - 1.0, 4),
            "routed_away": round(away, 4),
        }  # fmt: skip
    gaps = [line for line in lines.values() if line["oracle_gain"] > GAP]
    measured = {
        "tasks_with_a_gap": len(gaps), "gained": sum(line["gain"] > 0 for line in gaps),
        "worst": min(line["gain"] for line in lines.values()),
        "mean": round(statistics.fmean(line["gain"] for line in lines.values()), 5), "seeds": SEEDS, "tasks": lines,
    }  # fmt: skip
    met = measured["gained"] >= len(gaps) / 2 and measured["worst"] >= -0.01
    emit("routing", {"gain": "> 0 on at least half of the tasks with an oracle gap, never below -1%"}, measured, met)


if __name__ == "__main__":
    main()
