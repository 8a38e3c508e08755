"""The contract suite that every provider passes; public as ``arbiter_tui.testing.ProviderContract``.

Owns: the rules of provider.py as tests. Never: a particular provider.
"""

from __future__ import annotations

import contextlib
from contextlib import aclosing
from typing import Any

from .core.registry import ModelVersion
from .errors import ContextOverflow, InvalidRequest, NotSupported, ProviderError
from .provider import Chunk, Done, LoadedModel, Message, Provider, Request, Text, WorkerEvent


async def collect(model: LoadedModel, request: Request) -> tuple[str, Done]:
    """The whole answer of ``model`` and its closing Done."""
    text, done = "", None
    async with aclosing(model.generate(request)) as chunks:
        async for chunk in chunks:
            if isinstance(chunk, Done):
                done = chunk
            elif isinstance(chunk, Text):
                text += chunk.text
    assert done is not None, "generate ended without Done"
    return text, done


class ProviderContract:
    """Subclass it, implement ``provider`` and ``version``, and pytest runs the rules of provider.py against it.

    ``bad_source``: something that ``inspect`` must refuse. ``long_prompt``: more tokens than the loaded context.
    """

    bad_source = "/nowhere/nothing.gguf"
    long_prompt = "word " * 20_000
    load_timeout_s = 60.0

    def make_provider(self) -> Provider:
        raise NotImplementedError

    async def make_version(self, provider: Provider) -> ModelVersion:
        """A version that can be loaded."""
        return (await provider.discover())[0]

    def chat(self, text: str, **changes: Any) -> Request:
        return Request(messages=(Message("user", text),), **{"max_tokens": 16, **changes})

    async def _loaded(self, provider: Provider, events: list[WorkerEvent]) -> LoadedModel:
        version = await self.make_version(provider)
        return await provider.load(version, timeout_s=self.load_timeout_s, on_event=events.append)

    async def test_it_satisfies_the_protocol(self) -> None:
        """Names, kinds and methods are there."""
        provider = self.make_provider()
        assert isinstance(provider, Provider)
        assert provider.name
        assert provider.kind
        await provider.close()

    async def test_a_bad_source_is_a_typed_error(self) -> None:
        """inspect of nonsense raises ModelUnusable (or says the runtime is unreachable), never a foreign exception."""
        provider = self.make_provider()
        message = ""
        try:
            await provider.inspect(self.bad_source)
        except ProviderError as error:
            message = str(error)
        finally:
            await provider.close()
        assert message, "a bad source was accepted, or refused without a word"

    async def test_it_answers_and_closes_with_one_done(self) -> None:
        """Text chunks, then exactly one Done, last; the same again gives an answer again."""
        provider, events = self.make_provider(), []  # type: Provider, list[WorkerEvent]
        try:
            model = await self._loaded(provider, events)
            for _ in range(2):
                seen: list[Chunk] = [c async for c in model.generate(self.chat("Say hello."))]
                assert isinstance(seen[-1], Done)
                assert sum(isinstance(c, Done) for c in seen) == 1
                assert "".join(c.text for c in seen if isinstance(c, Text))
            assert await model.health()
            assert events == []
        finally:
            await provider.close()

    async def test_closing_a_stream_early_frees_the_model(self) -> None:
        """After aclose() in mid-answer the model answers the next request, and shows no error."""
        provider, events = self.make_provider(), []  # type: Provider, list[WorkerEvent]
        try:
            model = await self._loaded(provider, events)
            stream = model.generate(self.chat("Count from one to one hundred.", max_tokens=200))
            async for _ in stream:
                break
            await stream.aclose()
            text, _ = await collect(model, self.chat("Say hello."))
            assert text
            assert events == []
        finally:
            await provider.close()

    async def test_a_prompt_beyond_the_context_is_a_typed_error(self) -> None:
        """ContextOverflow, and the model still answers afterwards."""
        provider, events = self.make_provider(), []  # type: Provider, list[WorkerEvent]
        try:
            model = await self._loaded(provider, events)
            try:
                await collect(model, self.chat(self.long_prompt))
            except ContextOverflow:
                pass
            else:
                raise AssertionError("a prompt beyond the context was answered")
            assert (await collect(model, self.chat("Say hello.")))[0]
        finally:
            await provider.close()

    async def test_tools_go_to_the_runtime_or_are_refused(self) -> None:
        """Whole answers with tools at hand, or NotSupported; either way the model answers the next request."""
        function = {"name": "clock", "description": "The time.", "parameters": {"type": "object", "properties": {}}}
        request = self.chat("What time is it?", tools=({"type": "function", "function": function},))
        provider, events = self.make_provider(), []  # type: Provider, list[WorkerEvent]
        try:
            model = await self._loaded(provider, events)
            with contextlib.suppress(NotSupported):
                await collect(model, request)
            assert (await collect(model, self.chat("Say hello.")))[0]
            assert events == []
        finally:
            await provider.close()

    async def test_pictures_go_to_the_runtime_or_are_refused(self) -> None:
        """An answer, or a typed error; either way the model answers the next request."""
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
        text = {"type": "text", "text": "What is this?"}
        request = Request(messages=(Message("user", "What is this?", parts=(text, picture)),), max_tokens=4)
        provider, events = self.make_provider(), []  # type: Provider, list[WorkerEvent]
        try:
            model = await self._loaded(provider, events)
            with contextlib.suppress(NotSupported, InvalidRequest):
                await collect(model, request)
            assert (await collect(model, self.chat("Say hello.")))[0]
            assert events == []
        finally:
            await provider.close()

    async def test_unload_is_idempotent_and_final(self) -> None:
        """After unload, twice, health is False and generating raises a ProviderError."""
        provider, events = self.make_provider(), []  # type: Provider, list[WorkerEvent]
        try:
            model = await self._loaded(provider, events)
            await model.unload()
            await model.unload()
            assert not await model.health()
            try:
                await collect(model, self.chat("Say hello."))
            except ProviderError:
                pass
            else:
                raise AssertionError("an unloaded model answered")
            assert events == [], "an unload that was asked for is no event"
        finally:
            await provider.close()
            await provider.close()
