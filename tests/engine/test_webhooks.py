"""Webhooks: which events go out, signed, in order, tried again, bounded; and that no swap waits for any of it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from engine_kit import Engine

from arbiter_tui.adapters.posts import Poster
from arbiter_tui.config import parse
from arbiter_tui.core.snapshot import SwapView
from arbiter_tui.daemon import hooks_of
from arbiter_tui.engine.webhooks import QUEUE, RETRIES_S, Hook, Webhooks, event_of, secret_bytes
from arbiter_tui.errors import ConfigError, LoadFailed
from arbiter_tui.testing import Behaviour

URL, SECRET = "https://chat.example/hooks/very-secret-path", b"signing-secret"


@dataclass
class Receiver:
    """Answers each post with the next of ``answers`` (an exception is raised), then with 204."""

    answers: list[int | Exception] = field(default_factory=list)
    got: list[tuple[bytes, Mapping[str, str]]] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        if self.gate is not None:
            await self.gate.wait()
        assert url == URL
        self.got.append((body, headers))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def types(self) -> list[str]:
        return [json.loads(body)["type"] for body, _ in self.got]


@contextlib.asynccontextmanager
async def hooked(receiver: Receiver, models: dict[str, Behaviour] | None = None, **hook: Any) -> AsyncIterator[Engine]:
    async with Engine(models) as e:
        webhooks = Webhooks([Hook(name="chat", url=URL, **{"secret": SECRET, **hook})], e.arbiter.live, receiver.post)
        e.arbiter.live.on_swap.append(webhooks.saw)
        running = asyncio.create_task(webhooks.run())
        try:
            yield e
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def swap(e: Engine, to: str) -> SwapView:
    """Finished, with the old one back in its place for the next."""
    done = await e.arbiter.swap("work", to)
    await e.clock.settle()
    return done


def other(e: Engine) -> str:
    return "b" if e.serving() == "a" else "a"


async def test_a_swap_a_rollback_and_a_failure_are_told_in_order_and_signed() -> None:
    """The receiver can check each by the shared secret; the body says which swap, from what to what."""
    receiver = Receiver()
    models = {"a": Behaviour(), "b": Behaviour(), "c": Behaviour(fail_load=[LoadFailed("too large")])}
    async with hooked(receiver, models) as e:
        done = await swap(e, other(e))
        await e.arbiter.rollback("work")
        failed = await e.arbiter.swap("work", "c")
        assert failed.result == "failed"
        await e.until(lambda: len(receiver.got) == 6)
        assert receiver.types == [
            "swap-started", "swap-complete", "swap-started", "rolled-back", "swap-started", "swap-failed",
        ]  # fmt: skip
        data = json.loads(receiver.got[1][0])["data"]
        assert (data["id"], data["from"], data["to"], data["result"]) == (done.id, done.from_, done.to, "done")
        assert "too large" in json.loads(receiver.got[5][0])["data"]["error"]
        for body, headers in receiver.got:
            text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
            wanted = base64.b64encode(hmac.new(SECRET, text, hashlib.sha256).digest()).decode()
            assert headers["webhook-signature"] == f"v1,{wanted}"
        assert len({headers["webhook-id"] for _, headers in receiver.got}) == 6


@pytest.mark.parametrize("trouble", [500, 503, 429, 408, ConnectionError("refused"), TimeoutError()])
async def test_what_may_pass_is_tried_again_later_with_the_same_id(trouble: int | Exception) -> None:
    """So that the receiver can tell a repetition; no alert when it gets there in the end."""
    receiver = Receiver(answers=[trouble, trouble])
    async with hooked(receiver, events=("swap-complete",)) as e:
        await swap(e, other(e))
        assert len(receiver.got) == 1
        await e.clock.advance(RETRIES_S[0])
        assert len(receiver.got) == 2
        await e.clock.advance(RETRIES_S[1] - 0.1)
        assert len(receiver.got) == 2
        await e.clock.advance(0.1)
        assert [h["webhook-id"] for _, h in receiver.got] == [receiver.got[0][1]["webhook-id"]] * 3
        assert not [a for a in e.arbiter.snapshot().alerts if "webhook" in a.message]


async def test_what_is_refused_for_good_is_not_tried_again_and_one_alert_tells_of_all() -> None:
    """Many failures are one alert, without the address; the next success makes room for another."""
    receiver = Receiver(answers=[404, 410, 204, 400])
    async with hooked(receiver, events=("swap-complete",)) as e:

        def told() -> list[str]:
            return [a.message for a in e.arbiter.snapshot().alerts if "webhook chat" in a.message]

        for expected in (1, 1, 1, 2):
            await swap(e, other(e))
            await e.clock.settle()
            assert len(told()) == expected
        assert len(receiver.got) == 4
        assert not any("chat.example" in text or "very-secret" in text for text in told())


async def test_a_receiver_that_hangs_delays_no_swap_and_its_queue_is_bounded() -> None:
    """Swaps finish while nothing is delivered; what waits is the newest hundred."""
    receiver = Receiver(gate=asyncio.Event())
    async with hooked(receiver) as e:
        for _ in range(QUEUE // 2 + 10):
            assert (await swap(e, other(e))).result == "done"
        assert receiver.got == []
        assert receiver.gate is not None
        receiver.gate.set()
        await e.until(lambda: len(receiver.got) == QUEUE + 1, turns=4000)
        assert any("dropped" in a.message for a in e.arbiter.snapshot().alerts)
        assert receiver.types[-1] == "swap-complete"


def test_only_a_change_of_the_result_is_an_event() -> None:
    """Phases in between, and the mark on a swap that was undone, are none."""
    running = SwapView(id="s", task="t")
    done = SwapView(id="s", task="t", result="done")
    undone = SwapView(id="s", task="t", result="rolled_back")
    assert [event_of(None, running), event_of(running, running), event_of(running, done), event_of(done, undone)] == [
        "swap-started", None, "swap-complete", None,
    ]  # fmt: skip


def test_a_secret_is_read_as_standard_webhooks_write_it() -> None:
    """Base64 behind whsec_, any other text as it is."""
    assert secret_bytes("whsec_" + base64.b64encode(b"abc").decode()) == b"abc"
    assert secret_bytes("abc") == b"abc"
    assert secret_bytes("whsec_no base64") == b"whsec_no base64"


def test_a_block_names_its_secret_and_never_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value in its place is refused without being repeated; a reference that leads nowhere stops the start."""
    block = '[[webhooks]]\nname = "chat"\nurl = "env:HOOK_URL"\nsecret = "env:HOOK_SECRET"\n'
    monkeypatch.setenv("HOOK_URL", URL)
    with pytest.raises(ConfigError, match="HOOK_SECRET"):
        hooks_of(parse(block))
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    (hook,) = hooks_of(parse(block))
    assert (hook.url, hook.secret, len(hook.events)) == (URL, b"s3cret", 4)
    for wrong in (block.replace("env:HOOK_SECRET", "s3cret"), block.replace("env:HOOK_URL", "s3cret")):
        with pytest.raises(ConfigError) as caught:
            parse(wrong)
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in json.dumps(caught.value.details)


async def test_over_real_http_the_status_comes_back_and_redirects_are_not_followed() -> None:
    """A receiver cannot send the message on to somewhere else; nobody there is an OSError."""
    seen: list[tuple[str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        seen.append((request.path, await request.read()))
        if request.path == "/moved":
            raise web.HTTPTemporaryRedirect("/elsewhere")
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post("/{path}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    poster = Poster()
    try:
        assert await poster.post(f"http://127.0.0.1:{port}/hook", b"{}", {}) == 202
        assert await poster.post(f"http://127.0.0.1:{port}/moved", b"{}", {}) == 307
        assert seen == [("/hook", b"{}"), ("/moved", b"{}")]
    finally:
        await runner.cleanup()
    with pytest.raises(OSError, match="Client"):
        await poster.post(f"http://127.0.0.1:{port}/hook", b"{}", {})
    await poster.close()


async def test_hooks_change_while_they_deliver() -> None:
    """One that stays keeps what waits for it; one that goes is sent nothing more; one that comes gets what follows."""
    slow, receiver = asyncio.Event(), Receiver()
    sent: list[str] = []

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
        await slow.wait()
        sent.append(url)
        return await receiver.post(URL, body, headers)

    kept, gone, new = (Hook(name=n, url=f"http://{n}", events=("swap-complete",)) for n in ("kept", "gone", "new"))
    async with Engine() as e:
        webhooks = Webhooks([kept, gone], e.arbiter.live, post)
        e.arbiter.live.on_swap.append(webhooks.saw)
        running = asyncio.create_task(webhooks.run())
        await swap(e, other(e))
        webhooks.adopt([kept, new])
        await e.clock.settle()
        await swap(e, other(e))
        slow.set()
        await e.until(lambda: len(sent) == 3)
        await e.clock.settle()
        assert sorted(sent) == ["http://kept", "http://kept", "http://new"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
