"""kill -9 of one of two replicas of a real model, under load: only what it had begun is lost, and it comes back."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from engine_process import QUIET, SMOL, Engine, Stream, needs, serving, until

pytestmark = [pytest.mark.real, needs(SMOL)]

TWO = f'{QUIET}\n[[providers]]\nname = "llama_server"\nkind = "llama_server"\nparallel = 2\nreplicas = 2\n'
ASKERS = 2


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Engine]:
    with serving(tmp_path, TWO) as engine:
        engine.call("POST", f"/models/{SMOL}/warm?wait=60", {})
        until(lambda: ready(engine) == 2, "both replicas")
        yield engine


def metric(engine: Engine, name: str) -> float:
    text = httpx.get(f"{engine.url}/metrics", timeout=30, trust_env=False).text
    return sum(map(float, re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)))


def ready(engine: Engine) -> float:
    return metric(engine, r'arbiter_replicas\{[^}]*state="ready"\}')


def test_requests_that_had_not_begun_are_answered_by_the_other_one(twins: Engine) -> None:
    """Two clients ask without a pause while one worker after the other is killed: not one of their requests fails.
    Two long streams run on both replicas: the dead one's is told of it, the other's ends whole. Afterwards both are
    there again, with new processes, in the memory of two."""
    answered: list[int] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        while not stop.is_set():
            body = {"model": SMOL, "messages": [{"role": "user", "content": f"Count from {number}."}], "max_tokens": 4}
            told = httpx.post(f"{twins.url}/v1/chat/completions", json=body, timeout=60, trust_env=False)
            answered.append(told.status_code)

    askers = [threading.Thread(target=ask, args=(n,), daemon=True) for n in range(ASKERS)]
    for asker in askers:
        asker.start()
    for _ in range(2):
        # Enough different beginnings for both replicas to have one of the streams.
        streams = [Stream(twins, SMOL, max_tokens=80, prompt=f"Tell story {n}.").flowing() for n in range(2)]
        before = twins.workers()
        assert len(before) == 2
        count = len(answered)
        victim: psutil.Process = before[0]
        victim.kill()
        until(lambda count=count: len(answered) >= count + 2 * ASKERS, "answers after the kill")  # type: ignore[misc]
        for stream in streams:
            stream.end()
            assert stream.done != (stream.error is not None)
        until(lambda: ready(twins) == 2, "the replica's return")
        now = {worker.pid for worker in twins.workers()}
        assert len(now) == 2
        assert victim.pid not in now
        assert before[1].pid in now
    stop.set()
    for asker in askers:
        asker.join(60)
    assert set(answered) == {200}
    health = {m["version"]: m["state"] for m in twins.call("GET", "/models")["items"]}
    assert health[SMOL] == "ready"
    log = twins.call("GET", f"/models/{SMOL}/log")["items"]
    assert any("[1]" in str(line) for line in log)
    assert any("[2]" in str(line) for line in log)
