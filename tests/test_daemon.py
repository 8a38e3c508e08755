"""The composition root: files that the configuration names, a port that is taken."""

from __future__ import annotations

import http.server
import socket
import threading
from pathlib import Path

import pytest

from arbiter_tui.config import Config, ModelBlock, PoolConfig
from arbiter_tui.core.tasks import Task
from arbiter_tui.daemon import Daemon, bind, own_suites
from arbiter_tui.errors import ConfigError
from arbiter_tui.testing import FakeClock, MemoryStore


def test_a_suite_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    """A task's JSONL suite is read relative to the configuration's folder, whatever the working folder is."""
    (tmp_path / "mine.jsonl").write_text('{"prompt": "2+2?", "reference": "4"}\n')
    tasks = [Task(name="sums", suite="mine.jsonl"), Task(name="bundled", suite="sentiment")]
    found = own_suites(tasks, tmp_path / "arbiter.toml")
    assert list(found) == ["mine.jsonl"]
    assert [(item.prompt, item.reference, item.task) for item in found["mine.jsonl"]] == [("2+2?", "4", "sums")]


@pytest.mark.parametrize("content", [None, "not json\n", '{"prompt": "no reference"}\n'])
def test_a_broken_suite_names_the_task_and_the_file(tmp_path: Path, content: str | None) -> None:
    """Missing or malformed: a ConfigError with the task, the key and the file, not a model that scores 0."""
    if content is not None:
        (tmp_path / "mine.jsonl").write_text(content)
    with pytest.raises(ConfigError, match=r"tasks\.sums\.suite = 'mine\.jsonl'"):
        own_suites([Task(name="sums", suite="mine.jsonl")], tmp_path / "arbiter.toml")


async def test_a_models_source_is_looked_for_below_the_model_folders(tmp_path: Path) -> None:
    """A relative folder lies beside the configuration file; a source that is nowhere is an alert, not the end."""
    config = Config(
        pool=PoolConfig(model_dirs=("models",), memory_budget_bytes=2**30),
        models=(ModelBlock(name="coder", provider="llama_server", source="coder.gguf"),),
        path=tmp_path / "arbiter.toml",
    )
    arbiter = Daemon(config, tmp_path, announce=False).build(MemoryStore(), FakeClock())
    await arbiter.start(serving=False)
    try:
        (alert,) = [a for a in arbiter.snapshot().alerts if a.version == "coder"]
        assert f"coder.gguf is in none of {tmp_path / 'models'}" in alert.message
    finally:
        await arbiter.stop(deadline_s=1.0)


def test_a_taken_port_says_how_to_choose_another() -> None:
    """The error names the address and the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{other.getsockname()[1]}.*--port"):
            bind("127.0.0.1", other.getsockname()[1])


class Live(http.server.BaseHTTPRequestHandler):
    """Answers as an engine's liveness does."""

    def do_GET(self) -> None:
        body = b'{"status": "ready", "version": "0.1.0"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Not on the test's output."""


def test_a_port_that_another_engine_holds_says_how_to_look_at_it() -> None:
    """A second state folder or user: the error names the engine that is there, and the command that shows it."""
    with http.server.HTTPServer(("127.0.0.1", 0), Live) as other:
        port = other.server_port
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        with pytest.raises(ConfigError, match=rf"another arbiter engine .*arbiter attach http://127\.0\.0\.1:{port} "):
            bind("127.0.0.1", port)
        thread.join()
