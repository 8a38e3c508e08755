"""The composition root: suites that are files, a port that is taken."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from arbiter_tui.core.tasks import Task
from arbiter_tui.daemon import bind, own_suites
from arbiter_tui.errors import ConfigError


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


def test_a_taken_port_says_how_to_choose_another() -> None:
    """The error names the address and the way out."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{other.getsockname()[1]}.*--port"):
            bind("127.0.0.1", other.getsockname()[1])
