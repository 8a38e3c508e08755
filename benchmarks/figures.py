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
    cockpit,
    cockpit_day,
    cockpit_history,
    cockpit_link,
    cockpit_many,
    cockpit_pair,
    core_speed,
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


<<<<<<< HEAD
=======
def number(value: float) -> str:
    """Three digits that mean something, no exponent."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.removeprefix("0") if text.startswith("0.") else text


def count(value: int) -> str:
    return f"{value:,}"


def share(value: float) -> str:
    return f"{100 * value:.1f}%"


def swaps_under_load(m: Measured) -> str:
    by = "each by one version" if not m["by_no_version"] else f"{m['by_no_version']} by no version"
    return (
        f"{count(m['requests'])} answers during {m['swaps_done']} swaps: {m['failed']} failed, "
        f"{m['truncated']} cut off, {by}; p99.9 {number(m['ratio_to_slower'])} ×"
    )


def switch(m: Measured) -> str:
    inside, http = m["in_process"]["p99_ms"], m["over_http"]["p99_ms"]
    return f"{number(inside)} ms in process, {number(http)} ms over HTTP, {m['failed']} failed"


def exclusive_memory(m: Measured) -> str:
    rows = [v for k, v in m.items() if k != "budget"]
    return "; ".join(f"{row['ttft_ms']} ms, allowed {row['allowed_ms']} ms" for row in rows)


def core_speed(m: Measured) -> str:
    names = {
        "selection": "selection", "compatibility": "compatibility", "learning_transfer": "transfer",
        "registry_lookup": "lookup", "pool_allocation": "allocation",
    }  # fmt: skip
    return ", ".join(f"{word} {number(m[key]['p95_ms'])}" for key, word in names.items()) + " ms"


def execute_overhead(m: Measured) -> str:
    recording = number(1000 * m["recording"]["p95_ms"])
    return (
        f"{number(m['execute']['p50_ms'])} ms; recording {recording} µs p95; {m['outcomes_dropped']} outcomes dropped"
    )


def store_size(m: Measured) -> str:
    return (
        f"{m['bytes_per_outcome']} bytes an outcome, {m['bytes_per_swap_event']} a swap, "
        f"{count(m['bytes_per_profile'])} a profile; {100 * m['routing_rules_kept']:.0f}% of the rules kept"
    )


def kill_engine(m: Measured) -> str:
    told, missing = sum(m["acknowledged"].values()), sum(m["missing"].values())
    return (
        f"{m['kills']} kills: {missing} of {count(told)} acknowledged things missing, "
        f"{m['orphan_workers']} workers left; first answer after {number(m['first_answer_s']['max'])} s at most"
    )


def kill_worker(m: Measured) -> str:
    untold = m["clean_but_cut"] + m["broken_without_a_word"] + m["silent"]
    return (
        f"{m['kills']} kills: {untold} streams ended without an error, {m['other_model']['not_whole']} of "
        f"{m['other_model']['requests']} answers of the other model broken; next answer {number(m['next_s']['p50'])} s "
        f"(load {number(m['load_s']['p50'])} s)"
    )


def fault_storm(m: Measured) -> str:
    return (
        f"{m['kills']} kills in {number(m['seconds'])} s: {m['failed_not_begun']} of "
        f"{m['whole'] + m['failed_not_begun']:,} failed ({100 * m['success_share_not_begun']:.2f}% succeeded); "
        f"{m['broken_after_begun_told']} had begun and were told, {m['broken_after_begun_silent']} were not"
    )


def resident(m: Measured) -> str:
    return f"{number(m['rss_mib'] * 1024**2 / 1e6)} MB; {number(m['idle_cpu_percent_of_a_core'])}% of a core"


def cockpit(m: Measured) -> str:
    paint = m["first_paint_s"]
    keys = m["key_to_screen"]
    missed = f", {len(keys['missed'])} keys without effect" if keys["missed"] else ""
    return (
        f"{number(max(paint['attach'], paint['join']))} s, {number(max(m['with_models_s'].values()))} s; "
        f"{count(round(m['at_rest']['bytes_per_s']))} bytes/s; {number(keys['p95_ms'])} ms{missed}; "
        f"{number(m['resident_mib'])} MB; {number(m['quit_s'])} s"
    )


def cockpit_many(m: Measured) -> str:
    def one(found: Measured) -> str:
        return f"{number(found['cpu_percent_of_a_core'])}%, {count(found['bytes_per_s'])} bytes/s"

    keys = m["local"]["key_to_screen_ms"]
    return (
        f"{one(m['local'])}; over ssh {one(m['ssh'])}; key {number(keys['p95'])} ms p95, {number(keys['max'])} at worst"
    )


def cockpit_history(m: Measured) -> str:
    name, worst = max(m["open_p95_ms"].items(), key=lambda found: found[1])
    missed = f"; never opened: {', '.join(m['missed'])}" if m["missed"] else ""
    slowest = f"{number(worst)} ms ({name}, the slowest of {len(m['open_p95_ms'])})"
    return f"{slowest}; next line {number(m['scroll']['p95_ms'])} ms{missed}"


def cockpit_link(m: Measured) -> str:
    back = "never" if m["back_s"] is None else f"{number(m['back_s'])} s"
    return (
        f"key {number(m['keys']['p95_ms'])} ms p95; a new picture {number(m['pictures_per_s'])} times a second; "
        f"{count(m['link_bytes_per_s'])} bytes/s over the link; live again after {back}"
    )


def cockpit_pair(m: Measured) -> str:
    seen = m["key_to_the_other_screen"]
    missed = f"; {m['missed']} never seen" if m["missed"] else ""
    return f"{round(seen['p95_ms'])} ms p95 of {seen['n']} changes, {round(seen['max_ms'])} ms at worst{missed}"


def cockpit_day(m: Measured) -> str:
    return f"{number(m['grown_mib'])} MB in {number(m['simulated_hours'])} hours, {count(m['snapshots'])} snapshots"


def decode(m: Measured) -> str:
    return f"{number(m['ratio_one_stream'])} / {number(m['ratio_four_streams'])}"


def rollout_rule(m: Measured) -> str:
    ours, literal = m["reported"]["posterior"], m["reported"]["literal"]
    right = sum(event["right"] >= 0.95 for event in m["updates"].values())

    def back(name: str) -> str:
        return number(ours[name]["taken_back"]["mean"])

    def seen(name: str) -> str:
        return number(ours[name]["median_canary_requests"])

    return (
        f"{back('a_a')} (its own answers: {back('identical')}); {back('better')}; {back('worse')} after "
        f"{seen('worse')} requests; {back('much_worse')} after {seen('much_worse')}; {right} of {len(m['updates'])} "
        f"updates right (the literal rule takes back {number(literal['a_a']['taken_back']['mean'])} of the equals)"
    )


def detection(m: Measured) -> str:
    def line(name: str) -> str:
        ours = m[name]["ours"]
        return (
            f"{number(ours['false_alarms_per_1000']['mean'])}; {number(ours['found']['mean'])}; "
            f"{number(ours['median_delay'])} requests, {number(m[name]['delay_ratio'])} ×"
        )

    return f"{line('updates')} (model pairs of the other tasks: {line('reported')})"


def decisions(m: Measured) -> str:
    ours = m["bandit"]
    shares = " / ".join(number(round(row["all"]["mean"], 3)) for row in ours.values())
    others = ", ".join(
        f"{word} {number(round(m[name]['stationary']['all']['mean'], 3))} / "
        f"{number(round(m[name]['degrading']['all']['mean'], 3))}"
        for name, word in (("score", "weighted score"), ("fixed", "fixed"), ("ucb", "UCB"), ("thompson", "Thompson"))
    )
    swaps, wrong, dominated = (
        sum(row[name] for row in ours.values()) for name in ("swaps", "wrong_swaps", "dominated_choices")
    )
    return (
        f"{shares}; {number(ours['stationary']['swaps_per_1000'])} swaps, {wrong} of {swaps} wrong in all; {dominated} "
        f"({others})"
    )


def judging(m: Measured) -> str:
    def line(name: str) -> str:
        panel, every = m[name]["panel"], m[name]["all"]
        return (
            f"{number(round(panel['accuracy'], 3))} of {share(panel['coverage'])} that count (each judge alone, first "
            f"order: {number(round(every['accuracy_asis'], 3))})"
        )

    return f"{line('natural')}; adversarial {line('adversarial')}; PandaLM kappa {number(m['pandalm_best_kappa'])}"


def prediction(m: Measured) -> str:
    every, span = m["all"], m["coverage_interval"]
    return (
        f"{number(every['coverage'])} ({number(span['low'])}–{number(span['high'])}), {number(every['width'])} wide; "
        f"{share(every['lower_by'])} lower ({number(every['error'])}; {share(m['reported']['lower_by'])} on the tasks "
        "that no constant saw)"
    )


def fuzz(m: Measured) -> str:
    described = f", {count(m['from_openapi'])} of them from the OpenAPI document" if m["from_openapi"] else ""
    return (
        f"{count(m['cases'])} requests{described}: {m['wrong']} wrong answers, {m['hung']} hung, {m['tracebacks']} "
        f"errors in the log; {m['right_requests_failed']} right ones in between failed"
    )


def memory(m: Measured) -> str:
    leaked = ", ".join(f"{m['leaked'][name]} {name}" for name in ("sockets", "tasks", "leases"))
    return f"{number(m['idle_mb'])} MB, {number(max(m['after_mb'].values()))} MB at most; {leaked} left over"


def slow_clients(m: Measured) -> str:
    return (
        f"p99 {number(m['alone']['p99_ms'])} ms alone, {number(m['beside']['p99_ms'])} ms beside them: "
        f"{number(m['p99_ratio'])} ×; {m['failed']} failed"
    )


def decision_speed(m: Measured) -> str:
    return (
        f"{number(m['route_p95_us'])} µs; {number(m['ranking_p95_ms'])} ms; {count(m['learnt_per_s'])} a second; "
        f"{count(m['state_bytes'])} bytes, {count(m['state_bytes_later'])} after as many more"
    )


def routing(m: Measured) -> str:
    return (
        f"on {m['gained']} of {m['tasks_with_a_gap']}; {100 * m['worst']:+.1f}% at worst, {100 * m['mean']:+.2f}% on "
        "average: what can be read off a prompt does not tell who answers it best"
    )


def tests(m: Measured) -> str:
    failed = (
        f", {m['failed']} of {m['passed'] + m['failed']} tests fail" if m["failed"] else f", {m['passed']} tests pass"
    )
    rooms = ", ".join(f"{room}/ {share(m[room]['branches'])}" for room in ("core", "engine"))
    return f"{rooms}; {m['seconds'] / 60:.1f} minutes{failed}"


>>>>>>> 967c458 (Routing prompt by prompt is measured: what can be read off a prompt does not tell who answers it best, so nothing is served by it)
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
        "many_swaps", "Sixteen streaming clients for 60 s while 100 swaps happen between two fast backends",
        "0 of ≥ 10,000 failed, 0 mixed; p99.9 ≤ 1.2 × that without swaps", many_swaps,
    ),
    Figure(
        "fair_memory", "Room for one model, four clients on one, another asked every 2 s: wait of the rare one; of the "
        "others", "0 failed; ≤ 2.5 s median, ≤ 5 s worst; p99 ≤ 2.5 s", fair_memory,
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
        "routing", "Routing each prompt by its features, against the best model of its task",
        "better on at least half of the tasks where that could be; never below −1%", routing,
    ),
    Figure("tests", "Tests: branches covered; whole suite", "≥ 90% of core/ and engine/; < 10 minutes", tests),
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
