"""Models of other runtimes, as an operator configures them: a server that the engine starts, and one that runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from engine_process import QUIET, SMOL, Engine, lives, needs, serving, until, workers_of
from llama_server_program import __file__ as program
from llama_server_program import install

from arbiter_tui.commands.idle_gpu import Installed, idle_gpu
from arbiter_tui.core.snapshot import GpuView, HardwareView

pytestmark = [pytest.mark.real, needs(SMOL)]


def weights() -> str:
    from arbiter_providers.embedded import installed_models

    return str(next(path for known, path in installed_models() if known.model.startswith("smollm2")))


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    install(folder)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@contextmanager
def a_running_server(port: int = 0, *more: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """(process, URL) of a llama-server that somebody else started."""
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    command = [sys.executable, "-P", program, "-m", weights(), "--port", str(port), "-np", "2", "-c", "2048", *more]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _healthy(url), "the llama-server is healthy")
        yield server, url
    finally:
        server.kill()
        server.wait()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def ask(engine: Engine, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}
    return httpx.post(f"{engine.url}/v1/chat/completions", json=body, timeout=60, trust_env=False)


@pytest.mark.usefixtures("on_path")
def test_the_block_that_doctor_prints_serves_a_task(tmp_path: Path) -> None:
    """What is printed for an idle GPU, pasted: the engine starts the installed llama-server, a task is swapped to it,
    answers, survives its death, and leaves nothing behind."""
    view = HardwareView(gpus=(GpuView(index=0, name="Big GPU"),))
    said = idle_gpu(view, "CPU", Installed(llama_server=True, gguf=weights()))
    assert said is not None
    with serving(tmp_path / "e", QUIET + said[said.index("[[providers]]") :]) as engine:
        first = ask(engine, "on-the-gpu")
        assert first.status_code == 200
        assert first.json()["choices"][0]["message"]["content"]
        swap = {"task": "sentiment", "to": "on-the-gpu"}
        done = httpx.post(
            f"{engine.url}/arbiter/v1/swaps", json=swap, params={"wait": 60}, timeout=90, trust_env=False
        ).json()
        assert done["result"] == "done", done
        assert ask(engine, "arbiter/sentiment").headers["x-arbiter-model"] == "on-the-gpu"
        assert ask(engine, "arbiter/sentiment").status_code == 200
        (server,) = [
            child
            for worker in workers_of(engine.pid)
            for child in worker.children(recursive=True)
            if "llama_server_program" in " ".join(child.cmdline())
        ]
        server.kill()
        until(lambda: not lives(server), "it is dead")
        until(lambda: ask(engine, "arbiter/sentiment").status_code == 200, "it is started again and answers")
        left = psutil.Process(engine.pid).children(recursive=True)
    until(lambda: not any(lives(p) for p in left), "the end of the servers with their engine")


# Shows the tools to the model: the least that an engine takes for a template with a place for them.
TOOL_TEMPLATE = (
    "{%- if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif -%}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{%- for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor -%}"
    "<|im_end|>\n{% endfor -%}{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif -%}"
)
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


def test_tools_reach_a_real_engine_or_are_refused(tmp_path: Path) -> None:
    """Where the template has a place for them the model reads them, whichever dialect they came in; where it has none
    they are refused, for the engine itself would leave them out in silence."""
    with a_running_server(0, "--chat-template", TOOL_TEMPLATE) as (_, url):
        block = f'[[providers]]\nname = "box"\nkind = "openai_compatible"\nbase_url = "{url}"\n'
        with serving(tmp_path / "e", QUIET + block) as engine:
            listed = httpx.get(f"{engine.url}/arbiter/v1/models", timeout=60, trust_env=False).json()["items"]
            (name,) = [m["version"] for m in listed if m["provider"] == "box"]
            smol = next(m["version"] for m in listed if m["version"].startswith("smollm2") and m["provider"] != "box")
            question = {"messages": [{"role": "user", "content": "Weather in Paris?"}], "max_tokens": 2}
            claudes = [{"name": "get_weather", "input_schema": PARAMETERS}]
            for path, tools, read in (
                ("/v1/chat/completions", [WEATHER], lambda told: told["usage"]["prompt_tokens"]),
                ("/v1/messages", claudes, lambda told: sum(_read(told["usage"]))),
                ("/api/chat", [WEATHER], lambda told: told["prompt_eval_count"]),
            ):
                ask = {**question, "model": name, "stream": False, "options": {"num_predict": 2}}
                bare = read(_post(engine, path, ask).json())
                assert read(_post(engine, path, {**ask, "tools": tools}).json()) > bare + 20, path
                refused = _post(engine, path, {**ask, "model": smol, "tools": tools})
                assert (refused.status_code, "does not support tools" in refused.text) == (400, True), path


def _read(usage: dict[str, int]) -> tuple[int, int]:
    return usage["input_tokens"], usage.get("cache_read_input_tokens", 0)


def _post(engine: Engine, path: str, body: object) -> httpx.Response:
    return httpx.post(f"{engine.url}{path}", json=body, timeout=60, trust_env=False)


def test_a_server_that_runs_already_is_found_and_used(tmp_path: Path) -> None:
    """Its model is listed, can be activated, answers; when the server dies the error says so, and once it is back, so
    is its model. The engine neither starts nor ends it."""
    with a_running_server() as (server, url):
        port = int(url.rsplit(":", 1)[1])
        block = f'[[providers]]\nname = "box"\nkind = "openai_compatible"\nbase_url = "{url}"\n'
        with serving(tmp_path / "e", QUIET + block) as engine:
            listed = httpx.get(f"{engine.url}/arbiter/v1/models", timeout=60, trust_env=False).json()["items"]
            (name,) = [m["version"] for m in listed if m["provider"] == "box"]
            answer = ask(engine, name)
            assert answer.status_code == 200
            assert answer.headers["x-arbiter-model"] == name
            assert answer.json()["usage"]["completion_tokens"] > 0
            server.kill()
            server.wait()
            gone = ask(engine, name)
            assert gone.status_code == 502
            assert "nobody answers at" in gone.json()["error"]["message"]
            with a_running_server(port):
                until(lambda: ask(engine, name).status_code == 200, "it is used again")
                assert engine.stop() == 0
                assert _healthy(url)
