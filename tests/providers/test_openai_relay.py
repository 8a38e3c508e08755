"""A running server's own bytes: identical, with typed errors for all that goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from arbiter_providers import _openai_runtime
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider
from faulty_server import (
    DONE,
    ENDLESS,
    HANG,
    RESET,
    FaultyServer,
    Piece,
    answer,
    event,
    faulty_server,
    stream,
    untrusted,
    word,
)
from provider_kit import until

from arbiter_tui.errors import ArbiterError, InvalidRequest, ModelUnusable, Overloaded, ProviderError, WorkerDied
from arbiter_tui.provider import Done, Message, Original, ProviderConfig, Request, Usage, WorkerEvent

CHAT = "/v1/chat/completions"
KEY = "sk-planted-0123456789"
CUT = word("Hel")
TIMED = event({"choices": [{"delta": {}, "finish_reason": "length"}], "timings": {
    "prompt_n": 7, "cache_n": 2, "prompt_ms": 50, "predicted_n": 3, "predicted_ms": 120}})  # fmt: skip
COUNTED = event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3,
                                          "prompt_tokens_details": {"cached_tokens": 4}}})  # fmt: skip
GOOD = stream(CUT, word("lo", "stop"), DONE)


def asked(*, streams: bool = True, path: str = CHAT, **fields: Any) -> Request:
    body = {"model": "arbiter/chat", "messages": [{"role": "user", "content": "hi"}], "stream": streams, **fields}
    return Request(messages=(Message("user", "hi"),), original=Original(path, body, streams))


@asynccontextmanager
async def loaded(fault: FaultyServer, **options: Any) -> AsyncIterator[tuple[Any, list[WorkerEvent]]]:
    known = {"base_url": fault.url, "api_key": KEY, "stall_timeout_s": 1, **options}
    provider = OpenAiCompatibleProvider(ProviderConfig(name="box", kind="openai_compatible", options=known))
    events: list[WorkerEvent] = []
    try:
        version = await provider.inspect("m")
        yield await provider.load(version, timeout_s=10, on_event=events.append), events
    finally:
        await provider.close()
        await until(lambda: fault.open == 0, "no connection is left open")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the server is behind TLS; its certificate is trusted here, for it is no matter of the bytes."""

    def trusting(self: _openai_runtime.Runtime) -> aiohttp.ClientSession:
        self._session = self._session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ssl=False)
        )
        return self._session

    if request.param:
        monkeypatch.setattr(_openai_runtime.Runtime, "_http", trusting)
    return bool(request.param)


async def read(relayed: AsyncGenerator[bytes | Done, None]) -> tuple[bytes, Done]:
    got, done = b"", None
    async for piece in relayed:
        assert done is None, "something came after the end"
        if isinstance(piece, Done):
            done = piece
        else:
            got += piece
    assert done is not None
    return got, done


@pytest.mark.parametrize(("pieces", "done"), [
    ([CUT, word("lo", "stop"), DONE], Done(finish_reason="stop")),
    ([CUT, word("lo", "stop")], Done(finish_reason="stop")),
    ([CUT, TIMED, DONE], Done(finish_reason="length", usage=Usage(
        tokens_in=9, tokens_out=3, tokens_cached=2, prompt_s=0.05, decode_s=0.12))),
    ([CUT, word("", "tool_calls"), COUNTED, DONE], Done(finish_reason="tool_calls", usage=Usage(
        tokens_in=9, tokens_out=3, tokens_cached=4))),
    ([b": comment\n\n", CUT, word("x" * 40_000), word("lo", "stop"), DONE], Done(finish_reason="stop")),
    ([CUT.replace(b"\n", b"\r\n"), word("", "stop").replace(b"\n", b"\r\n"), DONE], Done(finish_reason="stop")),
])  # fmt: skip
async def test_a_stream_is_byte_for_byte_and_its_end_is_read(pieces: list[bytes], done: Done) -> None:
    """Every byte that the server sent, then what its last events say."""
    async with faulty_server() as fault:
        fault.script(CHAT, stream(*pieces))
        async with loaded(fault) as (model, events):
            assert await read(model.relay(asked())) == (b"".join(pieces), done)
            assert events == []


async def test_a_whole_answer_is_byte_for_byte() -> None:
    """Spaces and unknown fields included; its usage is read once it is out."""
    body = b'{ "choices": [ {"finish_reason": "stop"} ], "odd": 1.50, "usage": {"completion_tokens": 3}}'
    async with faulty_server() as fault:
        fault.script(CHAT, answer(body))
        async with loaded(fault) as (model, _):
            got, done = await read(model.relay(asked(streams=False)))
            assert (got, done.usage.tokens_out, done.finish_reason) == (body, 3, "stop")


async def test_a_whole_answer_without_counts_is_estimated() -> None:
    """Four bytes of its text are a token, begun ones too; and it says that this is no count."""
    body = b'{"choices": [{"finish_reason": "stop", "message": {"content": "thirteen byte"}}]}'
    async with faulty_server() as fault:
        fault.script(CHAT, answer(body))
        async with loaded(fault) as (model, _):
            got, done = await read(model.relay(asked(streams=False)))
            assert (got, done.usage) == (body, Usage(tokens_out=4, estimated=True))


async def test_the_clients_words_go_on_untouched() -> None:
    """But for the model's name and what is the arbiter's own affair; what it leaves out has the arbiter's defaults."""
    async with faulty_server() as fault:
        fault.script(CHAT, GOOD)
        async with loaded(fault) as (model, _):
            await read(model.relay(asked(odd={"deep": [1]}, keep_alive="5m", temperature=0.7)))
            path, headers, body = fault.asked[-1]
            assert (path, headers["authorization"]) == (CHAT, f"Bearer {KEY}")
            assert json.loads(body) == {
                "temperature": 0.7, "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True,
                "odd": {"deep": [1]},
            }  # fmt: skip


async def test_what_can_not_be_asked_in_the_clients_words_is_not_relayed() -> None:
    """Nobody's own words, a chat for a model without a template, a grammar that the server does not take."""
    async with faulty_server() as fault:
        async with loaded(fault) as (model, _):
            assert model.relay(Request(messages=(Message("user", "hi"),))) is None
            assert model.relay(Request(grammar="root ::= x", original=asked().original)) is None
        async with loaded(fault, chat=False) as (model, _):
            assert model.relay(asked()) is None
            assert model.relay(asked(path="/v1/completions")) is not None


WRONG: list[tuple[str, Sequence[Piece], type[ArbiterError], str]] = [
    ("reset before the answer", [RESET], WorkerDied, "nobody answers"),
    ("reset in the middle", stream(CUT, RESET), WorkerDied, "broke off|in the middle"),
    ("an end without an end", stream(CUT), WorkerDied, "in the middle"),
    ("half an event", stream(CUT, b'data: {"choices": [{"del'), WorkerDied, "in the middle"),
    ("a stall in the middle", stream(CUT, HANG), WorkerDied, "no answer in time"),
    ("slow headers", [b"HTTP/1.1 200 OK\r\nContent-", HANG], WorkerDied, "no answer in time"),
    ("rubbish instead of HTTP", [b"\x00\x01\x02 what?\r\n\r\n", RESET], WorkerDied, "nobody answers"),
    ("a head without end", [b"HTTP/1.1 200 OK\r\nX: " + b"x" * 65536, ENDLESS], WorkerDied, "nobody answers"),
    ("429", answer({"error": {"message": "busy"}}, status=429), Overloaded, "busy"),
    ("500", answer({"error": {"message": "oops " + KEY, "code": 500}}, status=500), ProviderError, "oops"),
    ("503", answer({"error": {"message": "Loading model"}}, status=503), Overloaded, "Loading model"),
    ("400", answer({"detail": "bad temperature"}, status=400), InvalidRequest, "bad temperature"),
    ("401", answer({"error": "invalid key " + KEY}, status=401), ProviderError, "api_key"),
    ("404", answer({"message": "no model m"}, status=404), ModelUnusable, "no model m"),
    ("a redirect", answer(b"", status=307), ProviderError, "redirects"),
    ("a page instead of a stream", answer(b"<html>login</html>", kind="text/html"), WorkerDied, "in the middle"),
    ("a JSON error with 200", answer({"error": {"message": "no stream"}}), ProviderError, "no stream"),
    ("an error event", stream(CUT, event({"error": {"message": "out of memory"}})), ProviderError, "out of memory"),
    ("an endless error", [*stream(kind="application/json"), b"x" * 65536, ENDLESS], ProviderError, "without end"),
]  # fmt: skip


@pytest.mark.parametrize(("pieces", "kind", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
async def test_a_wrong_answer_is_a_typed_error(
    pieces: Sequence[Piece], kind: type[ArbiterError], words: str, tls: bool
) -> None:
    """As for an answer that is read: the error of that kind, without the key; the next request is answered."""
    async with faulty_server(untrusted() if tls else None) as fault:
        fault.script(CHAT, pieces, GOOD)
        async with loaded(fault) as (model, events):
            with pytest.raises(kind, match=words) as seen:
                await read(model.relay(asked()))
            assert type(seen.value) is kind
            assert KEY not in str(seen.value)
            assert [e.kind for e in events] == (["exited"] if kind is WorkerDied else [])
            assert (await read(model.relay(asked())))[0] == b"".join(p for p in GOOD[1:] if isinstance(p, bytes))


async def test_a_whole_answer_that_is_none_is_an_error() -> None:
    """JSON without choices, and no JSON at all."""
    async with faulty_server() as fault:
        for body in (b"{}", b"<html>", b"[1]"):
            fault.script(CHAT, answer(body))
            async with loaded(fault) as (model, _):
                with pytest.raises(ProviderError, match="no choices"):
                    await read(model.relay(asked(streams=False)))


async def test_who_leaves_frees_the_server() -> None:
    """Closing the answer in its middle closes its connection, and no other request gets the rest of it."""
    async with faulty_server() as fault:
        fault.script(CHAT, stream(CUT, HANG), GOOD)
        async with loaded(fault, stall_timeout_s=600) as (model, events):
            relayed = model.relay(asked())
            assert await anext(relayed) == CUT
            assert fault.open == 1
            await relayed.aclose()
            await until(lambda: fault.open == 0, "the stream that was closed is gone")
            await read(model.relay(asked()))
            assert events == []


class Tray:
    """A sink that is full after each piece until somebody has waited."""

    def __init__(self, *, full: bool) -> None:
        self.got, self.waits, self._full, self._behind = b"", 0, full, False

    def write(self, data: bytes) -> bool:
        assert not self._behind, "written to while it was full"
        self.got += data
        self._behind = self._full
        return not self._full

    async def drain(self) -> None:
        self.waits += 1
        await asyncio.sleep(0)
        self._behind = False


@pytest.mark.parametrize("full", [False, True])
async def test_the_rest_goes_into_a_sink_by_itself(full: bool, tls: bool) -> None:
    """Byte for byte, never while the sink is full, and Done after it with what the end says."""
    pieces = [CUT, *(word(f"w{n}" * 900) for n in range(200)), TIMED, DONE]
    async with faulty_server(untrusted() if tls else None) as fault:
        fault.script(CHAT, stream(*pieces))
        async with loaded(fault) as (model, _):
            relayed, tray = model.relay(asked()), Tray(full=full)
            first = await anext(relayed)
            done = await relayed.asend(tray)
            assert first + tray.got == b"".join(pieces)
            assert done == Done(finish_reason="length", usage=Usage(
                tokens_in=9, tokens_out=3, tokens_cached=2, prompt_s=0.05, decode_s=0.12))  # fmt: skip
            assert (tray.waits > 1) == full


@pytest.mark.parametrize(("pieces", "words"), [
    ([CUT, HANG], "no answer in time"), ([CUT, word("lo"), RESET], "broke off|in the middle"), ([CUT], "in the middle"),
])  # fmt: skip
async def test_what_goes_wrong_on_the_way_into_a_sink_is_told_as_ever(pieces: Sequence[Piece], words: str) -> None:
    """A stall, a reset, an end without an end."""
    async with faulty_server() as fault:
        fault.script(CHAT, stream(*pieces))
        async with loaded(fault) as (model, events):
            relayed = model.relay(asked())
            await anext(relayed)
            with pytest.raises(WorkerDied, match=words):
                await relayed.asend(Tray(full=False))
            assert [e.kind for e in events] == ["exited"]


async def test_an_answer_that_is_wanted_whole_comes_without_a_generator(tls: bool) -> None:
    """The same bytes and the same end; a stream, and what can't be asked in the client's words, is not for it."""
    async with faulty_server(untrusted() if tls else None) as fault:
        told = json.dumps({"choices": [{"finish_reason": "stop"}], "usage": {"completion_tokens": 2}}).encode()
        fault.script(CHAT, answer(told), answer(told))
        async with loaded(fault) as (model, _):
            assert await model.whole(asked(streams=False)) == await read(model.relay(asked(streams=False)))
            assert model.whole(asked()) is None
            assert model.whole(Request(messages=(Message("user", "hi"),))) is None


@pytest.mark.parametrize("streams", [True, False])
async def test_when_to_come_again_is_the_servers_own_word(streams: bool, tls: bool) -> None:
    """Its Retry-After goes on with the refusal, whichever way it was asked."""
    [said] = answer({"error": {"message": "busy"}}, status=429)
    assert isinstance(said, bytes)
    async with faulty_server(untrusted() if tls else None) as fault:
        fault.script(CHAT, [said.replace(b"Content-Type", b"Retry-After: 17\r\nContent-Type")])
        async with loaded(fault) as (model, _):
            with pytest.raises(Overloaded) as seen:
                await read(model.relay(asked(streams=streams)))
            assert seen.value.retry_after_s == 17


async def test_a_whole_answer_may_take_as_long_as_its_server_is_well(tls: bool) -> None:
    """Nothing of it comes before all of it is made: while the server says that it is well, silence is no failure."""
    made = asyncio.Event()
    told = json.dumps({"choices": [{"finish_reason": "stop"}]}).encode()
    async with faulty_server(untrusted() if tls else None) as fault:
        fault.script(CHAT, [made, *answer(told)]).script("/health", answer({}))
        async with loaded(fault) as (model, events):
            model._runtime.hot._stall_s = 0.02
            coming = asyncio.ensure_future(model.whole(asked(streams=False)))
            await until(lambda: [path for path, _, _ in fault.asked].count("/health") >= 3, "it was asked three times")
            assert not coming.done()
            made.set()
            assert (await coming)[0] == told
            assert events == []


async def test_a_whole_answer_of_a_server_that_is_not_well_is_given_up(tls: bool) -> None:
    """It is silent and does not say that it is well: that is a stall."""
    async with faulty_server(untrusted() if tls else None) as fault:
        fault.script(CHAT, [HANG]).script("/health", answer({}, status=500))
        async with loaded(fault) as (model, events):
            model._runtime.hot._stall_s = 0.02
            with pytest.raises(WorkerDied, match="no answer in time"):
                await model.whole(asked(streams=False))
            assert [e.kind for e in events] == ["exited"]


@pytest.mark.parametrize("streams", [True, False])
async def test_what_is_under_way_when_the_engine_stops_is_told_so(streams: bool, tls: bool) -> None:
    """Whoever reads gets a typed error, not silence: the address is closed under it."""
    async with faulty_server(untrusted() if tls else None) as fault:
        fault.script(CHAT, stream(CUT, HANG) if streams else [HANG])
        async with loaded(fault) as (model, events):
            relayed = model.relay(asked(streams=streams))
            reading = asyncio.ensure_future(read(relayed))
            await until(lambda: fault.answering == 1, "it is under way")
            await model.unload()
            await model._runtime.close()
            with pytest.raises(WorkerDied, match="was unloaded before the end of its answer"):
                await reading
            assert events == []
