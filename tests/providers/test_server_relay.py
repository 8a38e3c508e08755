"""A managed server's own answers: passed on as they are, cut off with a reason, and what a start waits for in vain."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from arbiter_providers.server import ServerProvider
from provider_kit import DEADLINE_S, until, workers

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, ProviderError, WorkerDied
from arbiter_tui.provider import Done, Message, Original, ProviderConfig, Request

CHAT = "/v1/chat/completions"
EVENT = b'data: {"odd":  1, "choices": [{"delta": {"content": "hi"}}]}\n\n'
STREAM = EVENT * 3 + b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = b'{"odd":  1, "choices": [{"finish_reason": "length"}], "usage": {"completion_tokens": 7}}'
PROGRAM = f"""
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.say(b'{{"data": [{{"id": "org/model"}}]}}', 200 if self.path in ("/health", "/v1/models") else 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if b'"hang"' in body:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write({EVENT!r})
            time.sleep(600)
        self.say({STREAM!r} if b'"stream": true' in body else {WHOLE!r}, 200)

    def say(self, data, status):
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if data.startswith(b"data") else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def asked(*, streams: bool = True, **fields: Any) -> Request:
    body = {"model": "v", "messages": [{"role": "user", "content": "hi"}], "stream": streams, **fields}
    only = tuple(fields) if "n" in fields else ()
    return Request(messages=(Message("user", "hi"),), original=Original(CHAT, body, streams), only_original=only)


class Tray:
    """A sink that takes everything."""

    def __init__(self) -> None:
        self.got = b""

    def write(self, data: bytes) -> bool:
        self.got += data
        return True

    async def drain(self) -> None:
        return


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Any]:
    """The program, started as a model's server."""
    program = folder / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    options = {"command": [sys.executable, str(program), "{port}"]}
    provider = ServerProvider(ProviderConfig(name="gpu", kind="server", options=options))
    try:
        version = ModelVersion(version="v", provider="gpu", model="m", source="org/model", context=1000, parallel=4)
        yield await provider.load(version, timeout_s=DEADLINE_S, on_event=lambda event: None)
    finally:
        await provider.close()
        await until(lambda: workers() == [], "the server and who answers for it are gone")


async def test_its_answers_pass_as_they_are(tmp_path: Path) -> None:
    """Streamed, straight to the client, and whole: its own bytes, and what it says they took."""
    async with running(tmp_path) as model:
        pieces = [piece async for piece in model.relay(asked())]
        assert b"".join(pieces[:-1]) == STREAM
        assert pieces[-1] == Done(finish_reason="stop", usage=pieces[-1].usage)
        relayed, tray = model.relay(asked()), Tray()
        first = await anext(relayed)
        assert isinstance(await relayed.asend(tray), Done)
        assert first + tray.got == STREAM
        data, done = await model.whole(asked(streams=False))
        assert (data, done.finish_reason, done.usage.tokens_out) == (WHOLE, "length", 7)


async def test_what_only_the_clients_own_words_say_reaches_it(tmp_path: Path) -> None:
    """Several answers at once, as it would be asked directly; what it can't be asked so is left to ``generate``."""
    async with running(tmp_path) as model:
        assert (await model.whole(asked(streams=False, n=2)))[0] == WHOLE
        assert model.whole(Request(messages=(Message("user", "hi"),))) is None
        assert model.relay(Request(messages=(Message("user", "hi"),))) is None


@pytest.mark.parametrize("sink", [True, False])
async def test_its_end_in_the_middle_is_an_error_that_says_why(tmp_path: Path, sink: bool) -> None:
    """kill -9 of the server under a stream: WorkerDied, with the signal's name."""
    async with running(tmp_path) as model:
        relayed = model.relay(asked(mode="hang"))
        assert await anext(relayed) == EVENT
        rest = asyncio.ensure_future(relayed.asend(Tray()) if sink else anext(relayed))
        children = psutil.Process().children(recursive=True)
        next(c for c in children if "program.py" in " ".join(c.cmdline())).kill()
        with pytest.raises(WorkerDied, match="SIGKILL"):
            await rest
        with pytest.raises(WorkerDied, match="SIGKILL"):
            await model.whole(asked(streams=False))


async def test_a_server_that_wants_a_key_is_asked_with_it(tmp_path: Path) -> None:
    """Its own environment tells it which; ours is the same by reference, and stands in no error."""
    program = tmp_path / "program.py"
    guard = 'if self.headers["authorization"] != "Bearer planted": return self.say(b"{}", 401)'
    program.write_text(textwrap.dedent(PROGRAM).replace("body = self", f"{guard}\n        body = self", 1))
    for key, answered in (("planted", True), ("other", False)):
        options = {"command": [sys.executable, str(program), "{port}"], "api_key": key}
        provider = ServerProvider(ProviderConfig(name="gpu", kind="server", options=options))
        version = ModelVersion(version="v", provider="gpu", model="m", source="org/model", context=1000, parallel=4)
        try:
            model: Any = await provider.load(version, timeout_s=DEADLINE_S, on_event=lambda event: None)
            if answered:
                assert (await model.whole(asked(streams=False)))[0] == WHOLE
                continue
            with pytest.raises(ProviderError, match="set api_key") as caught:
                await model.whole(asked(streams=False))
            assert key not in str(caught.value)
        finally:
            await provider.close()


async def test_secrets_that_it_is_given_stand_in_no_line_of_its_log(tmp_path: Path) -> None:
    """A server that prints its environment: the log, and the error that quotes it, have stars in their place."""
    code = "import os, sys; print('error: my token is', os.environ['HF_TOKEN'], file=sys.stderr); sys.exit(3)"
    options = {"command": [sys.executable, "-c", code, "{port}"], "env": {"HF_TOKEN": "planted-7f3a"}}
    provider = ServerProvider(ProviderConfig(name="gpu", kind="server", options=options))
    version = ModelVersion(version="v", provider="gpu", model="m", source="org/model", context=1000, parallel=4)
    with pytest.raises(LoadFailed, match=r"my token is \*\*\*") as caught:
        await provider.load(version, timeout_s=DEADLINE_S, on_event=lambda event: None)
    assert "planted" not in str(caught.value)


async def test_a_health_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A server that runs, and is asked for its health where it has none: the error says what it answered."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    options = {"command": [sys.executable, str(program), "{port}"], "health": "/healthz"}
    provider = ServerProvider(ProviderConfig(name="gpu", kind="server", options=options))
    version = ModelVersion(version="v", provider="gpu", model="m", source="org/model", context=1000, parallel=4)
    told = ""
    for patience_s in (2.0, 10.0, 40.0):  # until the program is up, however busy the machine
        with pytest.raises(LoadFailed) as caught:
            await provider.load(version, timeout_s=patience_s, on_event=lambda event: None)
        told = str(caught.value)
        if "GET /healthz answers 404, not 200" in told:
            break
    assert "GET /healthz answers 404, not 200" in told
    await until(lambda: workers() == [], "nothing is left running")
