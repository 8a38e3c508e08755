"""The table of figures in README.md: which benchmark answers which promise, and how its result reads in plain words.

Owns: the lines, their words, the table as text. Never: measures, runs a benchmark, or judges: ``met`` is the script's.
A benchmark without a result, one that did not run, and a missed promise each say so in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from figure_words import (
    Measured,
    beside_olla,
    cockpit,
    cockpit_day,
    cockpit_history,
    cockpit_link,
    cockpit_many,
    cockpit_pair,
    core_speed,
    coverage_of,
    decision_speed,
    decisions,
    decode,
    detection,
    exclusive_memory,
    execute_overhead,
    fair_memory,
    fault_storm,
    fuzz,
    gate_overhead,
    gateway_speed,
    judging,
    kill_engine,
    kill_worker,
    many_swaps,
    memory,
    prediction,
    resident,
    rollout_rule,
    routing,
    slow_clients,
    store_size,
    swaps_under_load,
    switch,
    tests,
)

START, END = "<!-- figures -->", "<!-- /figures -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """``name`` is the script's; ``words`` turns what it measured into a cell."""

    name: str
    what: str
    must: str
    words: Callable[[Measured], str]


FIGURES = (
    Figure(
        "swaps_under_load", "Four streaming clients for 60 s while their task is swapped 20 times",
        "0 failed, 0 cut off, each answer by one version; p99.9 ≤ 1.5 × the slower model alone", swaps_under_load,
    ),
    Figure(
        "switch", "The switch between two warm models, to the first request served by the new one", "≤ 5 ms p99", switch
    ),
    Figure(
        "exclusive_memory", "Room for one model, two asked in turns: time to the first token, for each",
        "≤ 1.1 × the same done by hand + 50 ms", exclusive_memory,
    ),
    Figure("core_speed", "Decisions with 100 models and 50 tasks", "each ≤ 1 ms p95", core_speed),
    Figure(
        "execute_overhead", "What the arbiter adds to a request, and recording it within that",
        "≤ 1 ms p50; ≤ 100 µs", execute_overhead,
    ),
    Figure(
        "gateway_speed", "Through the gateway to a fast backend: added to a request; 64 at once, processor time; eight "
        "streams of 500 chunks against asking directly; added to the first chunk of a paced stream",
        "≤ .5 ms, p99 ≤ 1.5; ≥ 4,250 a second, ≤ .3 s per 1,000; ≥ .9 ×, byte for byte; ≤ 1 ms", gateway_speed,
    ),
    Figure(
        "beside_olla", "64 at once through the gateway, as a share of what Olla reaches in turns with it; processor "
        "time, and Olla's; added at p99, and by Olla", "≥ 1.0 ×", beside_olla,
    ),
    Figure(
        "many_swaps", "Sixteen streaming clients for 60 s while 100 swaps happen between two fast backends",
        "0 of ≥ 10,000 failed, 0 mixed; p99.9 ≤ 1.2 × that without swaps", many_swaps,
    ),
    Figure(
        "fair_memory", "Room for one model, four clients on one, another asked every 2 s: wait of the rare one; of the "
        "others; and the same turn made by hand", "0 failed; ≤ 2.5 s median, ≤ 5 s worst; p99 ≤ 2.5 s", fair_memory,
    ),
    Figure("gate_overhead", "A known key, checked and counted, adds to a request", "≤ 50 µs", gate_overhead),
    Figure(
        "store_size", "The store after 10,000 requests and 200 swaps",
        "≤ 1,024 bytes an outcome, ≤ 1,024 a swap, ≤ 10,240 a profile; 100% of the rules kept", store_size,
    ),
    Figure(
        "kill_engine", "`kill -9` of the engine under load, 20 times",
        "nothing acknowledged missing, no worker left; first answer within 3 s", kill_engine,
    ),
    Figure(
        "kill_worker", "`kill -9` of a model's worker under load",
        "only its own requests fail, each told so; next answer ≤ load time + .5 s", kill_worker,
    ),
    Figure(
        "fault_storm", "Two replicas, one of them killed at random every 3 s for 5 minutes: requests that had not "
        "begun to answer", "≥ 99.9% succeed; what had begun is told so", fault_storm,
    ),
    Figure("resident", "Engine with no model loaded", "≤ 90 MB; ≤ 1% of a core", resident),
    Figure(
        "cockpit", "Cockpit: first paint, with the models; written at rest; key to screen while the demo runs; "
        "resident; the terminal back after `q`",
        "≤ .4 s, ≤ .8 s; ≤ 2,048 bytes/s; ≤ 50 ms p95; ≤ 60 MB; ≤ .3 s", cockpit,
    ),
    Figure(
        "cockpit_many", "Cockpit with 50 models and 20 tasks, all changing four times a second; the same over ssh, "
        "once a second",
        "≤ 10% of a core, ≤ 20,480 bytes/s; ≤ 2%, ≤ 6,144 bytes/s; key ≤ 50 ms p95, ≤ 150", cockpit_many,
    ),
    Figure(
        "cockpit_history", "Cockpit on 10,000 swaps and 1,000,000 outcomes: from the key to the screen it opens",
        "≤ 200 ms p95; next line ≤ 50 ms", cockpit_history,
    ),
    Figure(
        "cockpit_link", "Cockpit over a link with 200 ms and 1% loss, cut for 6 s, 50 models and 20 tasks",
        "usable; live ≤ 3 s after the link's return", cockpit_link,
    ),
    Figure(
        "cockpit_pair", "Two cockpits on one engine: from a key in one to the other's screen",
        "≤ 1 s p95", cockpit_pair,
    ),
    Figure("cockpit_day", "Cockpit for 8 simulated hours: its memory grows", "≤ 5 MB", cockpit_day),
    Figure(
        "decode", "Tokens/s through the arbiter over those of its engine asked directly, one stream / four",
        "≥ .95 / ≥ .95", decode,
    ),
    Figure(
        "rollout_rule", "New versions taken back, by what they truly are: as good; better by 5%; .6–.85; below .6; and "
        "recorded updates of served models", "≤ .02; ≤ .01; ≥ .9 after ≤ 44 canary requests; all after ≤ 11; 9 of 10 "
        "updates right", rollout_rule,
    ),
    Figure(
        "detection", "A served model got worse (recorded updates): false alarms per 1,000 requests; found within 500; "
        "median delay over that of a CUSUM that knows both rates", "≤ .13; ≥ .99; ≤ 1.3 ×", detection,
    ),
    Figure(
        "decisions", "Who serves next: share of the best model, with a benchmark of 20 items / models degrading / "
        "without a benchmark / without and degrading; swaps per 1,000 requests; dominated choices",
        "≥ .985 / ≥ .945 / ≥ .96 / ≥ .93; ≤ 3, ≤ 2% to a worse one; 0", decisions,
    ),
    Figure(
        "judging", "Judges on pairs whose better answer is known: all judges together, weighted by trust "
        "that was learnt on other pairs; the best judge's kappa with most of three humans",
        "natural pairs ≥ .95, coverage stated; ≥ .53", judging,
    ),
    Figure(
        "prediction", "A model that has answered nothing yet, from its name: coverage of the 80% interval, its width; "
        "error against the mean of its family", ".8 within the coverage's interval; ≥ 20% lower", prediction,
    ),
    Figure(
        "fuzz", "Wrong requests of every kind: fields, bytes, names, queries, headers, heads",
        "no 5xx but honest 501, 502, 503; 0 hangs; 0 errors in the log", fuzz,
    ),
    Figure(
        "memory", "Engine without a model: idle; after 100,000 requests, 1,000 swaps, 1,000 streams that were left",
        "≤ 80 MB; ≤ 90 MB; no socket, task or lease left over", memory,
    ),
    Figure(
        "slow_clients", "1,000 idle connections and 200 that send a head byte by byte: what others notice",
        "p99 ≤ 2 × that without them; 0 failed", slow_clients,
    ),
    Figure(
        "decision_speed", "1,000 versions × 100 tasks: a name to its version; all versions ranked anew; outcomes "
        "learnt; what is kept of a version on a task after 10,000 requests",
        "≤ 50 µs p95; ≤ 5 ms p95; ≥ 100,000 a second; ≤ 2,048 bytes, no more later", decision_speed,
    ),
    Figure(
        "routing", "Routing each prompt by what it is like, against the best model of its task, at the same cost",
        "better on at least half of the tasks where that could be; never below −1%", routing,
    ),
    Figure("coverage_of", "Tests: branches covered", "≥ 90% of core/ and of engine/", coverage_of),
    Figure("tests", "Tests: the whole suite", "0 fail; < 10 minutes", tests),
)  # fmt: skip


def verdict(result: Mapping[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: "not judged"}[result["met"]]


def row(figure: Figure, result: Mapping[str, Any] | None) -> str:
    if result is None:
        measured, met = "not measured yet", "**unknown**"
    elif "failed" in result:
        measured, met = f"the benchmark did not run: {result['failed']}", "**unknown**"
    else:
        measured, met = figure.words(result["measured"]), verdict(result)
    what = f"{figure.what} ([{figure.name}](benchmarks/{figure.name}.py))"
    return f"| {what} | {figure.must} | {measured} | {met} |"


def machines(results: Mapping[str, Mapping[str, Any]]) -> str:
    """On what it was measured: one sentence for each kind of machine."""
    kinds = []
    for result in results.values():
        machine = result["machine"]
        engines = ", ".join(f"{name} {version}" for name, version in machine["engines"].items())
        said = f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}, {engines or 'no engine'}"
        if said not in kinds:
            kinds.append(said)
    return "".join(f"\nMeasured on {said}.\n" for said in kinds)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["| what | must | measured | met |", "|---|---|---|---|"]
    lines += [row(figure, results.get(figure.name)) for figure in FIGURES]
    known = {figure.name: results[figure.name] for figure in FIGURES if figure.name in results}
    return "\n".join(lines) + "\n" + machines(known)


def between(readme: str) -> str:
    """What stands between the markers."""
    return readme.split(START, 1)[1].split(END, 1)[0]


def placed(readme: str, text: str) -> str:
    head, rest = readme.split(START, 1)
    return f"{head}{START}\n{text}{END}{rest.split(END, 1)[1]}"
