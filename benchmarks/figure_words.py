"""How the result of each benchmark reads in plain words: a cell of README's table.

Owns: one function a benchmark, from what it measured to its cell. Never: measures, judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Measured = Mapping[str, Any]


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
    ours, literal, turns = (m["reported"][mode] for mode in ("posterior", "literal", "one_fits"))
    right = sum(event["right"] >= 0.95 for event in m["updates"].values())
    also = sum(event["right"] >= 0.95 for event in m["updates_one_fits"].values())

    def back(name: str) -> str:
        return number(ours[name]["taken_back"]["mean"])

    def blocks(name: str) -> str:
        gone, taken = turns[name]["median_blocks"], number(turns[name]["taken_back"]["mean"])
        return f"{taken} after {number(gone)} block{'' if gone == 1 else 's'}"

    def seen(name: str) -> str:
        return number(ours[name]["median_canary_requests"])

    return (
        f"{back('a_a')} (its own answers: {back('identical')}); {back('better')}; {back('worse')} after "
        f"{seen('worse')} requests; {back('much_worse')} after {seen('much_worse')}; {right} of {len(m['updates'])} "
        f"updates right (the literal rule takes back {number(literal['a_a']['taken_back']['mean'])} of the equals). "
        f"Where only one fits into memory, and no client sees it: {number(turns['a_a']['taken_back']['mean'])}; "
        f"{number(turns['better']['taken_back']['mean'])}; {blocks('worse')}; {blocks('much_worse')}; {also} of "
        f"{len(m['updates_one_fits'])}"
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
    fresh = " / ".join(number(round(row["all"]["mean"], 3)) for row in m["new_prompts"].values())
    return (
        f"{shares}; {number(ours['stationary']['swaps_per_1000'])} swaps, {wrong} of {swaps} wrong in all; {dominated} "
        f"({_held(m)}if no prompt ever came again {fresh}; {others})"
    )


HELD = (
    ("bandit_explore", "asking others at most 5%"), ("bandit_one_fits", "one fits"), ("autopilot", "the engine itself"),
    ("autopilot_one_fits", "and where one fits"),
)  # fmt: skip


def _held(m: Measured) -> str:
    """Ours where it may not ask whom it likes, as far as that was measured."""
    told = []
    for name, word in HELD:
        if name in m:
            both = " / ".join(number(round(m[name][s]["all"]["mean"], 3)) for s in ("stationary", "degrading"))
            moved, wrong = (sum(row[what] for row in m[name].values()) for what in ("swaps", "wrong_swaps"))
            told.append(f"{word} {both}, {wrong} of {moved} swaps wrong; ")
    return "".join(told)


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
        f"that no constant saw){_seconds(m)}"
    )


def _seconds(m: Measured) -> str:
    """Of the one recording that has them; nothing where it was not measured."""
    if (found := m.get("seconds")) is None:
        return ""
    span = found["coverage_interval"]
    return (
        f"; seconds ({found['models']} models): {number(found['coverage'])} ({number(span['low'])}–"
        f"{number(span['high'])}), within a factor of {number(found['width_factor'])}"
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


def gateway_speed(m: Measured) -> str:
    return (
        f"{number(m['added_p50_ms'])} ms, p99 {number(m['added_p99_ms'])} ms; {count(m['requests_per_s'])} a second, "
        f"{number(m['cpu_s_per_1000'])} s per 1,000; {count(m['chunks_per_s'])} chunks/s, "
        f"{number(m['chunks_share_of_direct'])} ×, {m['streams_that_differ']} streams differ; "
        f"{number(m['first_chunk_added_ms'])} ms"
    )


def beside_olla(m: Measured) -> str:
    if "skipped" in m:
        return str(m["skipped"])
    return (
        f"{number(m['share_of_olla'])} × ({count(m['requests_per_s'])} and {count(m['olla_requests_per_s'])} a "
        f"second); {number(m['cpu_s_per_1000'])} and {number(m['olla_cpu_s_per_1000'])} s per 1,000; p99 of one "
        f"request after another {number(m['added_p99_ms'])} and {number(m['olla_added_p99_ms'])} ms"
    )


def many_swaps(m: Measured) -> str:
    return (
        f"{count(m['answers'])} answers during {m['swaps_done']} swaps: {m['failed']} failed, {m['mixed']} mixed; "
        f"p99.9 {number(m['ratio'])} ×"
    )


def fair_memory(m: Measured) -> str:
    return (
        f"{m['failed']} of {m['a_requests'] + m['b_requests']} failed; the rare one {number(m['b_p50_s'])} s, "
        f"{number(m['b_worst_s'])} s at worst; the others' p99 {number(m['a_p99_s'])} s, median "
        f"{number(m['a_p50_s'])} s; by hand {number(m['turn_by_hand_p50_s'])} s"
    )


def gate_overhead(m: Measured) -> str:
    return f"{number(m['key_added_us'])} µs; {number(m['first_check_ms'])} ms when it is seen for the first time"


def decision_speed(m: Measured) -> str:
    return (
        f"{number(m['route_p95_us'])} µs; {number(m['ranking_p95_ms'])} ms; {count(m['learnt_per_s'])} a second; "
        f"{count(m['state_bytes'])} bytes, {count(m['state_bytes_later'])} after as many more, "
        f"{count(m['state_bytes_noisiest'])} where every figure is known and random"
    )


def routing(m: Measured) -> str:
    judged = m["cascade"]
    return (
        f"on {m['gained']} of {m['tasks_with_a_gap']}; {100 * m['worst']:+.1f}% at worst, {100 * m['mean']:+.2f}% on "
        f"average (without its switch on {m['always_gained']}, {100 * m['always_worst']:+.1f}% at worst): a prompt "
        f"hardly tells who answers best. Cascades by a judge: on {judged['gained']} of {judged['tasks_with_a_gap']}, "
        f"{100 * judged['worst']:+.2f}% at worst; or {100 * judged['thrift_quality']:.2f}% of the quality for "
        f"{share(judged['thrift_cost'])} of the cost"
    )


def coverage_of(m: Measured) -> str:
    return ", ".join(f"{room}/ {share(m[room]['branches'])}" for room in ("core", "engine"))


def tests(m: Measured) -> str:
    told = f"{m['failed']} of {m['passed'] + m['failed']} fail" if m["failed"] else f"{count(m['passed'])} pass"
    return f"{told}; {m['seconds'] / 60:.1f} minutes"
