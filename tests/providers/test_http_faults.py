"""Every provider on an HTTP runtime, against a server that misbehaves in every way: typed errors, nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from fault_kit import HELLO, KEY, KINDS, SHAPELESS, Kind
from faulty_server import ENDLESS, HANG, RESET, Piece, answer, faulty_server, untrusted
from provider_kit import until

from arbiter_tui.errors import (
    ArbiterError,
    InvalidRequest,
    ModelUnusable,
    Overloaded,
    ProviderError,
    Unreachable,
)
from arbiter_tui.provider import LoadedModel, Provider
from arbiter_tui.testing import collect

GONE = "gone"  # stands for the kind's own error of a server that went away
Made = Callable[[Kind], Sequence[Piece]]
Case = tuple[str, Made, type[ArbiterError] | str, str]

CASES: list[Case] = [
    ("reset before the answer", lambda k: [RESET], GONE, "nobody answers|broke off"),
    ("reset in the middle", lambda k: k.stream(k.word("Hel"), RESET), GONE, "broke off|in the middle"),
    ("an end without an end", lambda k: k.stream(k.word("Hel")), GONE, "in the middle"),
    ("half a chunk", lambda k: k.stream(k.word("Hel"), k.word("lo")[:-9]), GONE, "in the middle"),
    ("nothing at all", lambda k: k.stream(), GONE, "in the middle"),
    ("a stall in the middle", lambda k: k.stream(k.word("Hel"), HANG), GONE, "no answer in time"),
    ("a stall before the answer", lambda k: [HANG], GONE, "no answer in time"),
    ("slow headers", lambda k: [b"HTTP/1.1 200 OK\r\nContent-", HANG], GONE, "no answer in time"),
    ("rubbish instead of HTTP", lambda k: [b"\x00\x01 what?\r\n\r\n", RESET], GONE, "nobody answers|broke off"),
    ("429", lambda k: answer(k.refusal("busy"), status=429), Overloaded, "busy"),
    ("500", lambda k: answer(k.refusal(f"oops {KEY}"), status=500), ProviderError, "oops"),
    ("500 in HTML", lambda k: answer(b"<h1>oops " + KEY.encode() + b"</h1>", status=500), ProviderError, "oops"),
    ("503", lambda k: answer(k.refusal("not now"), status=503), Overloaded, "not now"),
    ("400", lambda k: answer(k.refusal("bad temperature"), status=400), InvalidRequest, "bad temperature"),
    ("401", lambda k: answer(k.refusal(f"invalid key {KEY}"), status=401), ProviderError, "api_key"),
    ("404", lambda k: answer(k.refusal("no model m"), status=404), ModelUnusable, "no model m"),
    ("a redirect", lambda k: answer(b"", status=307), ProviderError, "redirects"),
    ("a page instead of a stream", lambda k: answer(b"<html>login</html>", kind="text/html"), GONE, "in the middle"),
    ("invalid JSON", lambda k: k.stream(k.framed(b"{nope")), ProviderError, "can't be read"),
    ("invalid UTF-8", lambda k: k.stream(k.word("!!").replace(b"!!", b"\xff\xfe")), ProviderError, "can't be read"),
    ("JSON of another shape", lambda k: k.stream(k.framed(SHAPELESS)), ProviderError, "can't be read"),
    ("an error in mid-stream", lambda k: k.stream(k.word("Hel"), k.failed(f"no memory {KEY}")), ProviderError,
     "no memory"),
    ("an endless line", lambda k: k.stream(b"data: " + b"x" * 65536, ENDLESS), ProviderError, "bytes long"),
    ("an endless error", lambda k: [b"HTTP/1.1 500 X\r\n\r\n", b"x" * 65536, ENDLESS], ProviderError, "without end"),
]  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS, ids=[k.name for k in KINDS])


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    """Whatever went wrong, what a test began has ended with it."""
    before = asyncio.all_tasks()
    yield
    own = {asyncio.current_task()}
    await until(lambda: asyncio.all_tasks() <= before | own, "no task is left")


def chain(error: BaseException | None) -> str:
    """All that a traceback would say."""
    texts = []
    while error is not None:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


@every_kind
@pytest.mark.parametrize(("made", "wrong", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_a_wrong_answer_is_a_typed_error(
    kind: Kind, made: Made, wrong: type[ArbiterError] | str, words: str
) -> None:
    """Whatever comes back: the error of that kind, in words, the key nowhere in it; the next request is answered."""
    expected = kind.gone if isinstance(wrong, str) else wrong
    async with faulty_server() as fault:
        fault.script(kind.path, made(kind), kind.good)
        async with kind.loaded(fault) as (model, events):
            with pytest.raises(expected, match=words) as seen:
                await collect(model, HELLO)
            assert type(seen.value) is expected
            assert KEY not in chain(seen.value)
            assert [e.kind for e in events] == (["exited"] if wrong is GONE and kind.tells else [])
            assert all(KEY not in e.message for e in events)
            assert (await collect(model, HELLO))[0] == "Hello"


@every_kind
@pytest.mark.parametrize(("told", "seconds"), [("7", 7.0), ("999999", 3600.0), ("soon", 1.0)])
async def test_a_server_that_is_busy_says_when_to_come_again(kind: Kind, told: str, seconds: float) -> None:
    """Its Retry-After is handed on, within reason; what is no number of seconds is not."""
    async with faulty_server() as fault:
        busy = answer(kind.refusal("busy"), status=429)[0]
        assert isinstance(busy, bytes)
        fault.script(kind.path, [busy.replace(b"Connection:", f"Retry-After: {told}\r\nConnection:".encode(), 1)])
        async with kind.loaded(fault) as (model, _):
            with pytest.raises(Overloaded, match="busy") as seen:
                await collect(model, HELLO)
            assert seen.value.retry_after_s == seconds


@every_kind
async def test_nobody_there(kind: Kind) -> None:
    """Refused: loading says so in the system's few words, within the time, and leaves nothing behind."""
    async with faulty_server() as fault:
        kind.ready(fault)
        provider = kind.provider(fault.url)
        version = await provider.inspect("m")
        await provider.close()
    provider = kind.provider(fault.url)
    try:
        with pytest.raises(Unreachable, match="Connection refused"):
            await provider.load(version, timeout_s=10, on_event=lambda e: None)
    finally:
        await provider.close()


async def used(provider: Provider) -> LoadedModel:
    version = await provider.inspect("m")
    return await provider.load(version, timeout_s=10, on_event=lambda e: None)


@every_kind
async def test_tls_that_can_t_be_trusted(kind: Kind) -> None:
    """A certificate that nobody signed, and no TLS where it is asked for: Unreachable, and the key was not sent."""
    async with faulty_server(untrusted()) as secret, faulty_server() as plain:
        for fault, url in ((secret, secret.url), (plain, plain.url.replace("http:", "https:"))):
            kind.ready(fault)
            provider = kind.provider(url)
            try:
                with pytest.raises(Unreachable, match="nobody answers at https:") as seen:
                    await used(provider)
                assert KEY not in chain(seen.value)
            finally:
                await provider.close()
            assert fault.asked == []


@every_kind
async def test_a_redirect_does_not_carry_the_key_away(kind: Kind) -> None:
    """A redirect to another address is not followed."""
    async with faulty_server() as elsewhere, faulty_server() as fault:
        away = f"HTTP/1.1 307 X\r\nLocation: {elsewhere.url}{kind.path}\r\nContent-Length: 0\r\n\r\n".encode()
        fault.script(kind.path, [away])
        async with kind.loaded(fault) as (model, _):
            with pytest.raises(ProviderError, match="redirects"):
                await collect(model, HELLO)
        assert elsewhere.asked == []


@every_kind
async def test_the_key_goes_into_its_header_and_nowhere_else(kind: Kind) -> None:
    """Each request carries it, no path and no body does; it is in no repr of what a log might show."""
    async with faulty_server() as fault:
        fault.script(kind.path, kind.good)
        async with kind.loaded(fault) as (model, _):
            await collect(model, HELLO)
            assert fault.asked
            for path, headers, body in fault.asked:
                assert [value for value in headers.values() if KEY in value]
                assert KEY not in path
                assert KEY.encode() not in body
            assert KEY not in repr(model) + repr(vars(model)) + repr(await model.stats()) + repr(model.version)


@every_kind
async def test_a_client_that_leaves_frees_the_server(kind: Kind) -> None:
    """Closing the stream, and cancelling its task, closes the connection in mid-answer; no event is told."""
    async with faulty_server() as fault:
        fault.script(kind.path, kind.stream(kind.word("Hel"), HANG))
        async with kind.loaded(fault, stall_timeout_s=600) as (model, events):
            hanging = lambda: sum(path == kind.path for path, _, _ in fault.asked)  # noqa: E731
            chunks = model.generate(HELLO)
            await anext(chunks)
            assert hanging() == 1
            assert fault.answering == 1
            await chunks.aclose()
            await until(lambda: fault.answering == 0, "the stream that was closed is gone")
            reading = asyncio.create_task(collect(model, HELLO))
            await until(lambda: fault.answering == 1, "the next one is asked")
            reading.cancel()
            await until(lambda: fault.answering == 0, "the one that was cancelled is gone")
            await asyncio.gather(reading, return_exceptions=True)
            assert events == []


@every_kind
async def test_loading_that_hangs_ends_in_time(kind: Kind) -> None:
    """A server that accepts and says nothing: LoadFailed or Unreachable within the time, nothing left."""
    async with faulty_server() as fault:
        kind.ready(fault)
        provider = kind.provider(fault.url, stall_timeout_s=600)
        try:
            version = await provider.inspect("m")
            for path in (kind.lists, "/v1/models/m"):
                fault.script(path, [HANG])
            with pytest.raises(ProviderError, match=r"not ready|did not answer|no answer in time"):
                await provider.load(version, timeout_s=0.3, on_event=lambda e: None)
        finally:
            await provider.close()
            await until(lambda: fault.open == 0, "no connection is left open")


@every_kind
async def test_embeddings_that_go_wrong_are_typed_errors(kind: Kind) -> None:
    """Vectors of no shape, and a reset in the middle: ProviderErrors."""
    path = "/api/embed" if kind.name == "ollama" else "/v1/embeddings"
    async with faulty_server() as fault, kind.loaded(fault) as (model, _):
        for pieces in (answer({"data": 7, "embeddings": 7}), answer(b"{nope"), [RESET]):
            fault.script(path, pieces)
            with pytest.raises(ProviderError) as seen:
                await model.embed(["hello"])
            assert KEY not in chain(seen.value)
