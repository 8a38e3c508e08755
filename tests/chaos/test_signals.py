"""SIGINT, SIGTERM and SIGHUP in the middle of a load, a swap and a stream: a clean end, in time, with nothing lost."""

from __future__ import annotations

import signal

import pytest
from engine_process import GEMMA, SMOL, Engine, Stream, needs, until

pytestmark = [pytest.mark.real, needs(SMOL, GEMMA)]
TASK = "sentiment"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def being(engine: Engine, version: str, *states: str) -> bool:
    return any(m["version"] == version and m["state"] in states for m in engine.call("GET", "/models")["items"])


def middle_of_a_load(engine: Engine) -> None:
    engine.call("POST", f"/models/{GEMMA}/warm", {})
    until(lambda: being(engine, GEMMA, "loading", "warming", "ready"), "a load")


def middle_of_a_swap(engine: Engine) -> None:
    engine.call("POST", "/swaps", {"task": TASK, "to": GEMMA})
    until(lambda: engine.call("GET", f"/swaps?task={TASK}")["items"][0]["to"] == GEMMA, "the recorded intent")


def middle_of_a_stream(engine: Engine) -> None:
    Stream(engine, SMOL, max_tokens=150).flowing()


@pytest.mark.parametrize("moment", [middle_of_a_load, middle_of_a_swap, middle_of_a_stream])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_it_cleanly(fresh: Engine, moment: object, number: signal.Signals) -> None:
    """It ends with exit code 0 before its deadline, no worker is left, the folder is free, no traceback was written,
    and what was acknowledged is there for the next engine, which finds no half-made swap."""
    assert callable(moment)
    fresh.start()
    fresh.call("POST", "/swaps?wait=60", {"task": TASK, "to": SMOL})
    fresh.call("PUT", "/aliases/kept", {"version": SMOL})
    fresh.call("POST", "/outcomes", {"id": "kept", "task": TASK, "version": SMOL, "success": True})
    moment(fresh)
    fresh.signal(number)
    assert fresh.ended() == 0
    assert "Traceback" not in fresh.said()
    assert not (fresh.state / "engine.json").exists()
    status = fresh.json("status")
    assert [a for m in status["models"] for a in m["aliases"]] == ["kept"]
    task = next(t for t in status["tasks"] if t["task"] == TASK)
    assert task["incumbent"] in ((SMOL, GEMMA) if moment is middle_of_a_swap else (SMOL,))
    newest = next(s for s in status["swaps"] if s["task"] == TASK)
    assert newest["result"] in ("done", "failed")
    assert (newest["result"] == "done") == (newest["to"] == task["incumbent"])
    assert status["engine"]["lost_at_last_crash"] is None


def test_a_stream_is_finished_within_the_drain(fresh: Engine) -> None:
    """An answer under way when the stop comes is whole; a new request is refused or finds nobody."""
    fresh.start()
    stream = Stream(fresh, SMOL, max_tokens=40).flowing()
    fresh.signal(signal.SIGTERM)
    stream.end()
    assert stream.done, stream.error
    assert stream.error is None
    assert stream.finish in ("stop", "length")
    assert fresh.ended() == 0


def test_a_stream_longer_than_the_deadline_is_told(fresh: Engine) -> None:
    """What can't be finished in time ends with an error event or a broken connection, never with [DONE]; a request
    that comes after the signal is refused."""
    fresh.start()
    first = Stream(fresh, SMOL, max_tokens=1500).flowing()
    streams = [first, *(Stream(fresh, SMOL, max_tokens=1500) for _ in range(7))]
    fresh.signal(signal.SIGTERM)
    assert fresh.ended() == 0
    for stream in streams:
        stream.end()
        assert stream.done == (stream.finish is not None)
        said = f"status {stream.status}, {len(stream.events)} events, finish {stream.finish}, {stream.broken!r}"
        told = stream.error is not None or stream.broken is not None
        assert stream.done or told or (stream.status == 503 and stream is not first), said


def test_a_second_signal_ends_at_once(fresh: Engine) -> None:
    """Whoever presses ctrl+c twice is not kept waiting; the workers end all the same."""
    fresh.start()
    Stream(fresh, SMOL, max_tokens=1900).flowing()
    fresh.signal(signal.SIGINT)
    until(lambda: "draining" in fresh.said(), "the first signal's word")
    fresh.signal(signal.SIGINT)
    assert fresh.ended() in (0, 130)


def test_a_signal_during_the_start(fresh: Engine) -> None:
    """Before it is ready it can be stopped as well."""
    process = fresh.spawn()
    until(lambda: (fresh.state / "engine.json").exists() or process.poll() is not None, "the taken folder")
    fresh.signal(signal.SIGTERM)
    assert fresh.ended() == 0
    assert "Traceback" not in fresh.said()
    assert not (fresh.state / "engine.json").exists()
