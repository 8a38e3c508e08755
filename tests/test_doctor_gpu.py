"""What doctor says about a GPU that lies idle: only what the configuration understands."""

from __future__ import annotations

import shutil

import pytest

from arbiter_tui.commands.doctor import idle_gpu
from arbiter_tui.config import parse
from arbiter_tui.core.snapshot import GpuView, HardwareView

GPU = HardwareView(gpus=(GpuView(index=0, name="Big GPU"),))


def installed(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name in programs else None)


def test_nothing_is_said_where_none_lies_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU, or an engine that computes on it."""
    installed(monkeypatch, "ollama")
    assert idle_gpu(HardwareView(), "CPU") is None
    assert idle_gpu(GPU, "CUDA0") is None


def test_an_installed_ollama_gets_a_block_that_the_configuration_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed can be pasted."""
    installed(monkeypatch, "ollama")
    said = idle_gpu(GPU, "CPU")
    assert said is not None
    (provider,) = parse(said[said.index("[[providers]]") :]).providers
    assert (provider.name, provider.kind) == ("ollama", "ollama")


def test_what_cannot_be_used_yet_is_not_proposed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed llama-server or vLLM has no provider here: no block, and the sentence says so."""
    installed(monkeypatch, "llama-server", "vllm")
    said = idle_gpu(GPU, "CPU")
    assert said is not None
    assert "[[providers]]" not in said
    assert "can't be used yet" in said
