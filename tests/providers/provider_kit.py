"""What the provider tests share: waiting for conditions, small GGUF files, and laws for engines in child processes.

Owns: test material. Never: a test that runs by itself (the classes below are mixed into real ones).
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from arbiter_tui.errors import ContextOverflow, InvalidRequest, LoadFailed, ModelUnusable, WorkerDied
from arbiter_tui.provider import Done, LoadedModel, Message, Provider, Request, Text
from arbiter_tui.testing import collect

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
SCHEMA = {"type": "object", "properties": {"wet": {"type": "boolean"}}, "required": ["wet"]}


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Return once ``condition`` holds; fail after a generous deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE_S
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert loop.time() < end, f"never happened: {what}"
        await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Does the process exist, and is it more than a zombie?"""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers() -> list[int]:
    """Our living worker processes."""
    return [c.pid for c in psutil.Process().children(recursive=True) if alive(c.pid)]


def gguf(
    *, tensors: int = 1, version: int = 3, metadata: dict[str, Any] | None = None, data: int | None = None
) -> bytes:
    """A tiny GGUF file: f32 tensors of 8 elements; ``data``: bytes of tensor data, the right number if None."""
    pairs = {"general.architecture": "llama", **(metadata or {})}
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, len(pairs))
    for key, value in pairs.items():
        head += _string(key) + _value(value)
    for n in range(tensors):
        head += _string(f"t{n}") + struct.pack("<IQIQ", 1, 8, 0, n * 32)
    head += b"\0" * (-len(head) % 32)
    return head + b"\0" * (tensors * 32 if data is None else data)


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, list):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(_string(v) for v in value)
    return struct.pack("<I", 8) + _string(value)


class EngineLaws:
    """Laws of an embedded engine on a real small model. Mix in beside ProviderContract; needs ``options``."""

    def with_options(self, **options: Any) -> Provider:
        raise NotImplementedError

    @asynccontextmanager
    async def running(self, model: str = "smollm2", **options: Any) -> Any:
        """(model, events) of a loaded embedded model; nothing is left running afterwards."""
        provider, events = self.with_options(**options), []  # type: Provider, list[WorkerEvent]
        try:
            version = next(v for v in await provider.discover() if v.model.startswith(model))
            yield await provider.load(version, timeout_s=DEADLINE_S, on_event=events.append), events
        finally:
            await provider.close()
            await until(lambda: workers() == [], "the workers are gone")

    async def test_logprobs_schema_and_grammar(self) -> None:
        """Log-probabilities come where asked for (greedy: the best is the chosen one); schema and grammar bind."""
        async with self.running() as (model, _):
            ask = Request(prompt="The capital of France is", max_tokens=3, logprobs=2)
            texts = [c async for c in model.generate(ask) if isinstance(c, Text)]
            seen = [p for t in texts for p in t.logprobs]
            assert len(seen) == 3
            assert all(p.top[0][0] == p.token and len(p.top) == 2 and p.logprob <= 0 for p in seen)
            chat = (Message("user", "Is water wet? Answer in JSON."),)
            text, _ = await collect(model, Request(messages=chat, max_tokens=40, json_schema=SCHEMA))
            assert '"wet"' in text
            text, _ = await collect(model, Request(messages=chat, grammar='root ::= "yes" | "no"'))
            assert text in ("yes", "no")
            with pytest.raises(InvalidRequest):
                await collect(model, Request(messages=chat, grammar="root ::= ("))
            assert await model.health()

    async def test_usage_stop_words_and_length(self) -> None:
        """The engine's own counts and times are there; max_tokens ends with length, a stop word with stop, unseen."""
        async with self.running() as (model, _):
            text, done = await collect(model, Request(prompt="One, two, three, four,", max_tokens=8))
            assert done.finish_reason == "length"
            assert done.usage.tokens_out == 8
            assert done.usage.tokens_in
            assert done.usage.decode_s
            assert done.usage.prompt_s is not None
            word = text.split()[1]
            text, done = await collect(model, Request(prompt="One, two, three, four,", max_tokens=8, stop=(word,)))
            assert done.finish_reason == "stop"
            assert word not in text

    async def test_embeddings_are_unit_vectors_and_generation_goes_on(self) -> None:
        """One vector of length 1 a text, the same alone as among others; like texts are nearer; chat still works."""
        texts = ["hello there", "hi you", "the quarterly financial report of a large company"]
        async with self.running() as (model, _):
            together = await model.embed(texts)
            assert [len(v) for v in together] == [len(together[0])] * 3
            assert all(abs(dot(v, v) - 1) < 1e-3 for v in together)
            assert dot(together[0], together[1]) > dot(together[0], together[2])
            alone = (await model.embed(texts[2:]))[0]
            assert dot(alone, together[2]) > 0.999
            assert await model.embed([]) == []
            with pytest.raises(ContextOverflow):
                await model.embed(["word " * 3000])
            assert (await collect(model, Request(prompt="Hello", max_tokens=2)))[1].usage.tokens_out == 2

    async def test_a_model_without_chat_template_answers_a_chat(self) -> None:
        """A base model gets the worked examples as plain text: the answer is short, not empty, and to the point."""
        pairs = (("What is the capital of France?", "Paris"), ("What is the capital of Spain?", "Madrid"))
        ask = (Message("user", "What is the capital of Italy?"),)
        async with self.running("gemma3") as (model, _):
            text, done = await collect(model, Request(messages=ask, few_shot=pairs, max_tokens=16, stop=("\n",)))
            assert text.strip() == "Rome"
            assert done.finish_reason == "stop"

    async def test_kill_9_is_a_typed_error_an_event_and_nothing_more(self) -> None:
        """The request in flight raises WorkerDied, one event says why, health is False, unload still works."""
        async with self.running() as (model, events):
            stats = await model.stats()
            assert stats.pid in workers()
            async with aclosing(model.generate(story())) as chunks:
                await anext(chunks)
                os.kill(stats.pid, signal.SIGKILL)
                with pytest.raises(WorkerDied, match="SIGKILL"):
                    async for _ in chunks:
                        pass
            assert [e.kind for e in events] == ["exited"]
            assert not await model.health()
            with pytest.raises(WorkerDied):
                await collect(model, story())
            assert (await model.stats()).resident_bytes is None

    async def test_a_hung_worker_is_ended(self) -> None:
        """A stopped process makes no progress: its request raises WorkerDied, the event says hung."""
        async with self.running(hang_timeout_s=0.4) as (model, events):
            async with aclosing(model.generate(story())) as chunks:
                await anext(chunks)
                os.kill((await model.stats()).pid, signal.SIGSTOP)
                with pytest.raises(WorkerDied, match="no progress"):
                    async for _ in chunks:
                        pass
            assert [e.kind for e in events] == ["hung"]

    async def test_memory_is_what_was_predicted(self) -> None:
        """Measured resident memory lies within a third of the prediction, for both models."""
        for name in ("smollm2", "gemma3"):
            async with self.running(name) as (model, _):
                await collect(model, Request(prompt="hello " * 300, max_tokens=4))
                used = (await model.stats()).resident_bytes
                predicted = self.with_options().predicted_bytes(model.version)
                assert predicted is not None
                assert 0.75 < used / predicted < 1.33, (name, used, predicted)

    async def test_a_load_that_is_cancelled_or_too_slow_leaves_nothing(self) -> None:
        """LoadFailed after the deadline, CancelledError when cancelled; no process either way."""
        provider = self.with_options()
        version = (await provider.discover())[0]
        with pytest.raises(LoadFailed, match="not ready"):
            await provider.load(version, timeout_s=0.001, on_event=lambda e: None)
        assert workers() == []
        loading = asyncio.create_task(provider.load(version, timeout_s=DEADLINE_S, on_event=lambda e: None))
        await until(lambda: workers() != [], "the worker started")
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await until(lambda: workers() == [], "the worker is gone")
        await provider.close()

    async def test_bad_files_are_refused_with_a_sentence(self, tmp_path: Path) -> None:
        """Missing, empty, foreign, a pointer, cut off: ModelUnusable names the file and the reason."""
        provider = self.with_options()
        for name, content, sentence in bad_files():
            path = tmp_path / name
            if content is not None:
                path.write_bytes(content)
            with pytest.raises(ModelUnusable, match=sentence):
                await provider.inspect(str(path))

    async def test_a_file_that_only_looks_like_a_model_fails_to_load(self, tmp_path: Path) -> None:
        """A whole GGUF of an architecture nobody knows: LoadFailed in the engine's own words, nothing left running."""
        path = tmp_path / "strange.gguf"
        path.write_bytes(gguf(metadata={"general.architecture": "nosuch"}))
        provider = self.with_options()
        version = await provider.inspect(str(path))
        with pytest.raises(LoadFailed, match="nosuch"):
            await provider.load(version, timeout_s=DEADLINE_S, on_event=lambda e: pytest.fail("an event"))
        assert workers() == []
        await provider.close()

    async def test_a_dead_parent_takes_its_worker_along(self, tmp_path: Path) -> None:
        """kill -9 of the process that loaded the model ends the model's process, too."""
        kind = self.with_options().kind
        script = f"""
            import asyncio
            from arbiter_providers.{kind} import {type(self.with_options()).__name__} as P
            from arbiter_tui.provider import ProviderConfig
            async def main():
                provider = P(ProviderConfig(name="x", kind="{kind}"))
                version = (await provider.discover())[0]
                model = await provider.load(version, timeout_s=60, on_event=print)
                print((await model.stats()).pid, flush=True)
                await asyncio.Event().wait()
            asyncio.run(main())
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(script), stdout=subprocess.PIPE, env=child_environment()
        )
        assert process.stdout is not None
        pid = int(await process.stdout.readline())
        assert alive(pid)
        process.kill()
        await process.wait()
        await until(lambda: not alive(pid), "the worker followed its parent")


def child_environment() -> dict[str, str]:
    paths = [str(REPOSITORY), str(REPOSITORY / "providers"), str(Path(__file__).parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def story(max_tokens: int = 1500) -> Request:
    """A request that is far from done when the test looks."""
    return Request(messages=(Message("user", "Write a very long story about a ship."),), max_tokens=max_tokens)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def bad_files() -> list[tuple[str, bytes | None, str]]:
    """(name, content or None for a missing file, what the error says)."""
    return [
        ("missing.gguf", None, "does not exist"),
        ("empty.gguf", b"", "is empty"),
        ("foreign.gguf", b"PK\x03\x04" + b"\0" * 100, "is not a GGUF file"),
        ("pointer.gguf", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        ("header.gguf", gguf()[:60], "truncated: its header is cut off"),
        ("cut.gguf", gguf(tensors=3, data=40), "truncated: it should have"),
        ("old.gguf", gguf(version=1), "GGUF version 1"),
        ("hollow.gguf", gguf(tensors=0), "no tensors"),
    ]


async def drain(model: LoadedModel, request: Request) -> Done:
    return (await collect(model, request))[1]
