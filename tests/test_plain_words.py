"""The cockpit as sentences: everything once, then only what changes, nothing that steers a terminal."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "tui"))

from canned import GEMMA, GEMMA_CPP, HARDWARE, HEALTHY, MODELS, SMOL, r
from canned_states import BENCHING, FAILED, FOUR_GPUS, SWAPPING

from arbiter_tui.commands import plain
from arbiter_tui.commands.sentences import Teller
from arbiter_tui.core.snapshot import Snapshot, to_wire
from arbiter_tui.errors import ArbiterError, EngineUnreachable


def told(*snapshots: Snapshot) -> list[str]:
    """What is told of the last one after those before."""
    teller = Teller()
    lines: list[str] = []
    for s in snapshots:
        lines = list(teller.tell(s))
    return lines


def later(s: Snapshot, seconds: float, **change: Any) -> Snapshot:
    return replace(s, taken_at=s.taken_at + seconds, **change)


def test_the_first_picture_is_told_whole() -> None:
    """Each thing on the screen has its sentence: engine, machine, models, tasks, rankings, swaps, alerts, narrator."""
    text = "\n".join(told(HEALTHY))
    for model in MODELS:
        assert f"Model {model.version} is {model.state}" in text
    for task in HEALTHY.tasks:
        assert f"Task {task.task}: {task.incumbent} serves its requests; autopilot {task.autopilot}." in text
        assert f"Ranking of {task.task}: 1. " in text
    for words in ("371 M in memory, 118 tokens a second, first one after 42 ms; 2 under way", "also called champion",
                  "kept loaded", "12434 requests so far, 12 a second", "Processor load: 34%, 28 W",
                  "Memory: 6.4 G of 15.6 G", "Models hold 585 M of the 2.0 G", "No GPU: no NVIDIA driver",
                  "utility .84 from .79 to .89, quality .81, median 82 ms, best with P .93, 412 samples",
                  f"Swap of topic from {SMOL} to {GEMMA}, by the autopilot", "it failed in 2 min",
                  "Error: extraction: swap to", "Now: topic:"):  # fmt: skip
        assert words in text, words
    assert len(told(HEALTHY)) == len(set(told(HEALTHY)))


def test_nothing_new_is_told_twice() -> None:
    """The same picture under another revision, at any time, is silence."""
    assert told(HEALTHY, later(HEALTHY, 60, revision=99)) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (later(HEALTHY, 1, narrator="All is well."), ["Now: All is well."]),
        (later(HEALTHY, 1, models=MODELS[1:]), [f"Model {SMOL} is no longer there."]),
        (later(HEALTHY, 1, engine=replace(HEALTHY.engine, state="draining")),
         ["The engine is draining; its autopilot is on."]),
        (later(HEALTHY, 1, models=(MODELS[0], replace(MODELS[1], aliases=()), *MODELS[2:])),
         [f"Model {GEMMA} serves topic, intent, language, translation, extraction, arithmetic; kept loaded."]),
        (replace(BENCHING, taken_at=HEALTHY.taken_at + 1), ["Bench: 40% done."]),
        (replace(SWAPPING, swaps=SWAPPING.swaps[:1], narrator=HEALTHY.narrator),
         [f"Swap of topic from {SMOL} to {GEMMA}, by the autopilot, "]),
    ],
)  # fmt: skip
def test_one_change_is_one_line(now: Snapshot, said: list[str]) -> None:
    """What changed, and nothing else; a swap says its phase."""
    lines = told(HEALTHY, now)
    assert len(lines) == 1
    assert lines[0].startswith(said[0])


def test_a_failure_is_told_at_once() -> None:
    """The model with its error, and the count of failed requests."""
    lines = told(HEALTHY, FAILED)
    assert f"Model {GEMMA} is failed: the worker of {GEMMA} was killed by SIGKILL." in lines
    assert "3 of its requests have failed so far." in lines


def test_figures_are_told_when_they_moved_and_not_each_second() -> None:
    """A fifth of the whole, ten seconds apart; a trickle is silence, and a jump a second later waits."""
    busy = replace(HARDWARE, cpu=r(0.9))
    assert told(HEALTHY, later(HEALTHY, 1, hardware=busy)) == []
    assert told(HEALTHY, later(HEALTHY, 11, hardware=busy)) == ["Processor load: 90%, 28 W."]
    assert told(HEALTHY, later(HEALTHY, 11, hardware=replace(HARDWARE, cpu=r(0.45)))) == []
    lost = told(HEALTHY, later(HEALTHY, 11, hardware=replace(HARDWARE, cpu=r(None))))
    assert lost == ["Processor load: unknown, 28 W."]


def test_each_gpu_has_a_sentence() -> None:
    """Load, memory, power and heat of all four."""
    lines = [x for x in told(FOUR_GPUS) if x.startswith("GPU")]
    assert [x.split(",")[0] for x in lines] == [f"GPU {i}" for i in range(4)]
    assert "load 71%, 41.2 G of 80.0 G, 404 W, 64 degrees" in lines[0]


def test_a_new_leader_is_told_at_once() -> None:
    """Another order of the ranking needs no ten seconds."""
    topic = HEALTHY.tasks[1]
    turned = replace(topic, leaderboard=(topic.leaderboard[1], topic.leaderboard[0], *topic.leaderboard[2:]))
    tasks = tuple(turned if x is topic else x for x in HEALTHY.tasks)
    (line,) = told(HEALTHY, later(HEALTHY, 1, tasks=tasks))
    assert line.startswith(f"Ranking of topic: 1. {GEMMA_CPP} ")


def follow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *answers: Any) -> list[str]:
    """Lines of the stream over the given answers of the wire (snapshots or errors), without their time."""
    left = list(answers)

    def fetch(url: str, path: str, *, timeout: float) -> Any:
        if not left:
            raise plain._Stopped(2)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return to_wire(answer) if isinstance(answer, Snapshot) else answer

    monkeypatch.setattr(plain, "fetch_json", fetch)
    monkeypatch.setattr(plain.time, "sleep", lambda s: None)
    monkeypatch.setattr(plain.signal, "signal", lambda *a: None)
    assert plain.stream(Namespace(), lambda: "http://engine") == 130
    return [line[9:] for line in capsys.readouterr().out.splitlines()]


def test_a_loss_and_a_return_are_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same failure again says nothing; what was known is not told again afterwards."""
    gone = EngineUnreachable("connection refused")
    lines = follow(monkeypatch, capsys, HEALTHY, gone, gone, replace(HEALTHY, revision=1))
    assert lines[-2:] == [
        "The engine does not answer: connection refused. It is tried again by itself.",
        "The engine answers again at http://engine.",
    ]


def test_control_sequences_never_reach_the_stream(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever a remote engine calls its models: one line each, without escapes."""
    nasty = replace(HEALTHY, narrator="\x1b[2Jgone\nnext\x07\x9b31m", models=(replace(MODELS[0], version="a\x1bc"),))
    lines = follow(monkeypatch, capsys, nasty)
    assert any("[2Jgone next31m" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_what_is_no_engine_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another program at that address, or an engine that sends nonsense: not waited for."""
    for answer, said in (({"hello": 1}, "no arbiter engine"), ({"revision": "x"}, "revision is 'x'")):
        with pytest.raises(ArbiterError, match=said):
            follow(monkeypatch, capsys, answer)


def test_another_version_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An engine of another version is followed; that something may be missing is said once."""
    other = replace(HEALTHY, engine=replace(HEALTHY.engine, version="9.0"))
    lines = follow(monkeypatch, capsys, other, replace(other, revision=77))
    assert sum("version 9.0" in line for line in lines) == 1


def test_an_own_engine_that_does_not_start_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port in use: nothing will change by itself, so the reason is the last word and not the first of many."""

    class Ended:
        def poll(self) -> int:
            return 2

    def where() -> str:
        raise EngineUnreachable("the engine did not start: can't listen on 127.0.0.1:8017")

    monkeypatch.setattr(plain.signal, "signal", lambda *a: None)
    with pytest.raises(EngineUnreachable, match="did not start"):
        plain.stream(Namespace(), where, owned=lambda: Ended())  # type: ignore[arg-type, return-value]


def test_a_swap_that_was_undone_is_not_said_to_have_been_undone_in_its_own_time() -> None:
    """The time is that of the swap."""
    swap = replace(HEALTHY.swaps[0], result="rolled_back", duration_s=14.0)
    text = "\n".join(told(replace(HEALTHY, swaps=(swap,))))
    assert "it was done in 14 s, and undone later." in text
