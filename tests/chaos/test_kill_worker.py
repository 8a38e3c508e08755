"""kill -9 of one model's worker: its own requests see an error, nobody else notices, the next request is answered."""

from __future__ import annotations

import signal

import psutil
import pytest
from engine_process import GEMMA, SMOL, Engine, Stream, needs, until

pytestmark = [pytest.mark.real, needs(SMOL, GEMMA)]


WEIGHTS = {SMOL: "SmolLM2", GEMMA: "gemma-3"}


def worker_of(engine: Engine, version: str) -> psutil.Process:
    """The process that has the version's weights mapped."""
    engine.call("POST", f"/models/{version}/warm?wait=60", {})
    (found,) = [w for w in engine.workers() if any(WEIGHTS[version] in m.path for m in w.memory_maps())]
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_only_its_own_streams_see_it(engine: Engine, number: signal.Signals) -> None:
    """Streams of the dead worker get an error event and no [DONE]; the other model's streams are whole; the next
    request of the dead model succeeds; the failure is an event and the engine is still ready."""
    worker = worker_of(engine, SMOL)
    engine.call("POST", f"/models/{GEMMA}/warm?wait=60", {})
    after = engine.call("GET", "/events")["next"]
    mine = [Stream(engine, SMOL, max_tokens=1500).flowing() for _ in range(2)]
    theirs = [Stream(engine, GEMMA, max_tokens=60).flowing() for _ in range(2)]
    assert all(s.is_alive() for s in mine)
    worker.send_signal(number)
    for stream in mine:
        stream.end()
        assert stream.status == 200
        assert not stream.done
        assert stream.broken is not None, "after the error the connection is cut: no client can take it for the end"
        assert stream.finish is None
        assert stream.error is not None
        assert stream.error["code"] == "worker_died"
    answer = engine.ask(SMOL)
    assert answer["choices"][0]["message"]["content"]
    assert all(w.pid != worker.pid for w in engine.workers())
    for stream in theirs:
        stream.end()
        assert stream.done
        assert stream.error is None
        assert stream.finish in ("stop", "length")
    events = engine.call("GET", f"/events?after={after}")["items"]
    assert any(number.name in str(e) for e in events)
    assert engine.call("GET", "/health/readiness", ok=False).status_code == 200
    failed = {s.request_id for s in mine}
    recorded = {o["id"]: o for o in engine.call("GET", "/requests?limit=50")["items"]}
    assert all(not recorded[id]["success"] for id in failed)


def test_a_request_that_waits_during_the_reload_is_answered(engine: Engine) -> None:
    """Many requests at the moment of death: each ends in an answer or a typed error, and the model comes back."""
    worker = worker_of(engine, SMOL)
    streams = [Stream(engine, version, max_tokens=120) for version in (SMOL, GEMMA) for _ in range(4)]
    for stream in streams:
        until(lambda s=stream: s.status or not s.is_alive(), "the head of a stream")  # type: ignore[misc]
    worker.kill()
    for stream in streams:
        stream.end()
        if stream.status == 200:
            assert stream.done != (stream.error is not None)
        else:
            assert stream.status in (429, 502, 503)
    for version in (SMOL, GEMMA):
        assert engine.ask(version)["model"] == version


def test_a_worker_that_is_killed_while_it_loads_fails_that_load_only(engine: Engine) -> None:
    """The warm that waited gets a reason; the same again succeeds."""
    engine.call("POST", f"/models/{GEMMA}/unload?wait=60", {})
    before = {w.pid for w in engine.workers()}
    operation = engine.call("POST", f"/models/{GEMMA}/warm", {})
    new = until(lambda: [w for w in engine.workers() if w.pid not in before], "the new worker's process")
    new[0].kill()
    until(
        lambda: engine.call("GET", f"/operations/{operation['id']}")["state"] != "running", "the end of the operation"
    )
    found = engine.call("GET", f"/operations/{operation['id']}")
    if found["state"] == "failed":  # else the load was faster than the kill
        assert "SIGKILL" in str(found) or "killed" in str(found)
    assert engine.ask(GEMMA)["model"] == GEMMA
    assert engine.ask(SMOL)["model"] == SMOL
