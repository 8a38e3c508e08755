"""Two real models: swap, rollback, and what a restart remembers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from engine_process import GEMMA, SMOL, Engine, needs, serving, until

pytestmark = [pytest.mark.real, needs(SMOL, GEMMA)]
TASK = "sentiment"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose task starts on SmolLM2, with nothing to roll back to but what the test makes."""
    with serving(tmp_path_factory.mktemp("pair")) as one:
        yield one


def task(engine: Engine, name: str = TASK) -> dict[str, object]:
    return dict(engine.call("GET", f"/tasks/{name}"))


def swap(engine: Engine, to: str, name: str = TASK) -> dict[str, object]:
    return dict(engine.call("POST", "/swaps?wait=60", {"task": name, "to": to}))


def test_swap_rollback_and_no_second_rollback(pair: Engine) -> None:
    """The route follows, requests follow the route, every step is in the history, and 409 says when there is no way."""
    swap(pair, SMOL)
    first = swap(pair, GEMMA)
    assert (first["result"], first["from"], first["to"]) == ("done", SMOL, GEMMA)
    assert [p["name"] for p in first["phases"]]  # type: ignore[attr-defined]
    assert pair.ask(f"arbiter/{TASK}")["model"] == GEMMA
    back = pair.call("POST", f"/tasks/{TASK}/rollback?wait=60", {})
    assert (back["result"], back["from"], back["to"]) == ("done", GEMMA, SMOL)
    assert task(pair)["incumbent"] == SMOL
    assert pair.ask(f"arbiter/{TASK}")["model"] == SMOL
    second = pair.call("POST", f"/tasks/{TASK}/rollback?wait=60", {}, ok=False)
    assert second.status_code == 409
    assert second.json()["code"] == "nothing_to_roll_back"
    history = pair.call("GET", f"/swaps?task={TASK}")["items"]
    assert [s["id"] for s in history][:2] == [back["id"], first["id"]]
    assert history[1]["result"] == "rolled_back"
    explained = pair.call("GET", f"/explain/{first['id']}")
    assert explained


def test_the_same_version_again_is_no_swap(pair: Engine) -> None:
    """A no-op answers 200 and leaves the way back alone."""
    swap(pair, SMOL, "topic")
    swap(pair, GEMMA, "topic")
    before = task(pair, "topic")["previous"]
    again = swap(pair, GEMMA, "topic")
    assert again["result"] == "done"
    assert "already" in str(again["reason"])
    assert task(pair, "topic")["previous"] == before == SMOL


def test_a_restart_forgets_nothing(pair: Engine) -> None:
    """Routes, the way back, modes, aliases, pins, history, outcomes, grades and profiles outlive the process."""
    swap(pair, SMOL, "intent")
    swap(pair, GEMMA, "intent")
    pair.call("PUT", "/aliases/champion", {"version": GEMMA})
    pair.call("PUT", "/tasks/intent/autopilot", {"mode": "observe"})
    pair.call("POST", f"/models/{SMOL}/pin", {})
    for number in range(12):
        answer = pair.ask("arbiter/intent", f"Book flight number {number}.", max_tokens=2)
        pair.call("POST", "/feedback", {"request_id": answer["id"].removeprefix("chatcmpl-"), "score": 0.9})
    before = {
        "task": task(pair, "intent"),
        "profile": pair.call("GET", "/profiles/intent"),
        "swaps": [s["id"] for s in pair.call("GET", "/swaps?limit=1000")["items"]],
        "outcomes": {o["id"]: o["quality"] for o in pair.call("GET", "/outcomes?task=intent")["items"]},
        "stats": pair.call("GET", "/statistics")["tasks"]["intent"]["versions"],
    }
    assert len([q for q in before["outcomes"].values() if q == 0.9]) == 12
    assert pair.stop() == 0
    pair.start()
    after = {
        "task": task(pair, "intent"),
        "profile": pair.call("GET", "/profiles/intent"),
        "swaps": [s["id"] for s in pair.call("GET", "/swaps?limit=1000")["items"]],
        "outcomes": {o["id"]: o["quality"] for o in pair.call("GET", "/outcomes?task=intent")["items"]},
        "stats": pair.call("GET", "/statistics")["tasks"]["intent"]["versions"],
    }
    for part in ("profile", "swaps", "outcomes", "stats"):
        assert after[part] == before[part], part
    for key in ("incumbent", "previous", "autopilot"):
        assert after["task"][key] == before["task"][key]
    assert after["task"]["autopilot"] == "observe"
    assert pair.call("GET", "/aliases")["items"] == [{"alias": "champion", "version": GEMMA}]
    assert next(m for m in pair.call("GET", "/models")["items"] if m["version"] == SMOL)["pinned"]
    assert pair.ask("champion")["model"] == GEMMA
    back = pair.call("POST", "/tasks/intent/rollback?wait=60", {})
    assert back["to"] == SMOL


def test_what_leaves_memory_ends_its_process(pair: Engine) -> None:
    """Unloading ends the worker; the next request brings one back."""
    pair.ask(GEMMA)
    pair.ask(SMOL)
    many = len(pair.workers())
    pair.call("POST", f"/models/{GEMMA}/unload?wait=30", {})
    until(lambda: len(pair.workers()) == many - 1, "the end of the unloaded model's worker")
    assert pair.ask(GEMMA)["model"] == GEMMA
