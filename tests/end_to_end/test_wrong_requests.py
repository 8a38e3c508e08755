"""Wrong input over a real socket to a real engine with a real model: a clear error, and the next is served."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from engine_process import SMOL, Engine, needs

pytestmark = [pytest.mark.real, needs(SMOL)]
CHAT = "/v1/chat/completions"
MEGABYTE = 1_000_000


def post(engine: Engine, body: bytes | Iterator[bytes], path: str = CHAT) -> httpx.Response:
    headers = {"content-type": "application/json"}
    return httpx.post(engine.url + path, content=body, headers=headers, timeout=60, trust_env=False)


def error_of(answer: httpx.Response) -> dict[str, str]:
    """The error object, whose four fields every OpenAI client reads."""
    found = answer.json()["error"]
    assert set(found) >= {"message", "type", "param", "code"}
    return dict(found)


def still_serves(engine: Engine) -> None:
    assert engine.ask(SMOL)["choices"][0]["finish_reason"] in ("stop", "length")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b'{"model": "arbiter/sentiment", "messages": [', "JSON"),
        (b'{"model": "arbiter/sentiment", "messages": [{"role": "user", "content": "\xff\xfe"}]}', "UTF-8"),
        (b"[1, 2]", "object"),
        (b"[" * 200_000, "JSON"),
    ],
)
def test_a_body_that_cannot_be_read(engine: Engine, body: bytes, word: str) -> None:
    """4xx on both wires, naming what is wrong; nothing of the engine falls."""
    answer = post(engine, body)
    assert answer.status_code == 400, answer.text
    assert word in error_of(answer)["message"]
    control = post(engine, body, "/arbiter/v1/swaps")
    assert control.status_code == (400 if body else 422), control.text  # no body at all is one without its fields
    assert control.headers["content-type"].startswith("application/problem+json")
    still_serves(engine)


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_of_fifty_megabytes(engine: Engine, declared: bool) -> None:
    """413 with the limit in the sentence, whether its length is declared or it comes in chunks."""
    piece = b"a" * MEGABYTE
    whole = b'{"model": "x", "messages": [{"role": "user", "content": "' + piece * 50 + b'"}]}'
    chunks = (whole[n : n + MEGABYTE] for n in range(0, len(whole), MEGABYTE))
    try:
        answer = post(engine, whole if declared else chunks)
    except httpx.WriteError:  # the engine hung up before all of it was sent; its answer was lost with the connection
        answer = None
    if answer is not None:
        assert answer.status_code == 413
        assert "MiB" in error_of(answer)["message"]
    still_serves(engine)


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_longer_than_the_context(engine: Engine, stream: bool) -> None:
    """400 context_length_exceeded with both figures, streamed or not; it does not count against the model."""
    before = engine.call("GET", f"/models/{SMOL}")
    body = {"model": SMOL, "messages": [{"role": "user", "content": "word " * 20_000}], "stream": stream}
    answer = engine.call("POST", CHAT, body, ok=False)
    assert answer.status_code == 400, answer.text
    told = error_of(answer)
    assert told["code"] == "context_length_exceeded"
    assert "2048" in told["message"]
    still_serves(engine)
    assert engine.call("GET", f"/models/{SMOL}")["failures"] == before["failures"]


def test_a_name_that_nobody_has(engine: Engine) -> None:
    """404 with the nearest names, for a version, a task and an alias."""
    for asked, meant in ((SMOL.replace("q4_1", "q4_2"), SMOL), ("arbiter/sentimant", "sentiment")):
        answer = engine.call("POST", CHAT, {"model": asked, "messages": [{"role": "user", "content": "a"}]}, ok=False)
        assert answer.status_code == 404
        assert meant in error_of(answer)["message"]


def test_a_model_larger_than_the_budget(fresh: Engine) -> None:
    """Both sizes and the setting are named, on the wire and at the shell; nothing is loaded, the engine goes on."""
    fresh.config.write_text(fresh.config.read_text() + '\n[pool]\nmemory_budget = "64 MiB"\n')
    fresh.start()
    body = {"model": SMOL, "messages": [{"role": "user", "content": "a"}]}
    answer = fresh.call("POST", CHAT, body, ok=False)
    assert answer.status_code == 409, answer.text
    told = error_of(answer)["message"]
    assert "64 MiB" in told
    assert "memory_budget" in told
    done = fresh.cli("warm", SMOL)
    assert done.returncode == 1
    assert "64 MiB" in done.stderr
    assert all(m["state"] != "ready" for m in fresh.json("models"))


@pytest.mark.parametrize("folder", ["a file", "not writable"])
def test_a_state_folder_that_cannot_be_used(fresh: Engine, folder: str) -> None:
    """Named, with the reason; exit code 1 or 2, no traceback."""
    if folder == "a file":
        fresh.state.write_text("taken")
    else:
        fresh.state.symlink_to("/proc/nowhere")
    process = fresh.spawn()
    assert process.wait(30) in (1, 2)
    assert str(fresh.state) in fresh.said()
    assert "Traceback" not in fresh.said()
