"""What doctor says about a GPU that lies idle: a block that the configuration reads, a provider accepts, and that
answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arbiter_tui.adapters.plugins import load_provider
from arbiter_tui.commands.idle_gpu import Installed, find_installed, idle_gpu
from arbiter_tui.config import Config, parse
from arbiter_tui.core.snapshot import GpuView, HardwareView

GPU = HardwareView(gpus=(GpuView(index=0, name="Big GPU"),))


def said(installed: Installed) -> str:
    sentence = idle_gpu(GPU, "CPU", installed)
    assert sentence is not None
    assert sentence.startswith("Big GPU is not used by the embedded engine (CPU)")
    return sentence


def block(sentence: str) -> Config:
    """What is printed, pasted."""
    text = sentence[sentence.index("[[providers]]") :].split("\n\nNo model")[0]
    return parse(text)


def test_nothing_is_said_where_none_lies_idle() -> None:
    """No GPU, or an engine that computes on it."""
    assert idle_gpu(HardwareView(), "CPU", Installed(ollama=True)) is None
    assert idle_gpu(GPU, "CUDA0", Installed(ollama=True)) is None


@pytest.mark.parametrize(
    ("installed", "kind", "source"),
    [
        (Installed(ollama=True), "ollama", None),
        (Installed(llama_server=True, gguf="/models/a.gguf"), "server", "/models/a.gguf"),
        (Installed(llama_server=True, gguf='/models/"odd".gguf'), "server", '/models/"odd".gguf'),
        (Installed(vllm=True, hub="org/a-7b"), "server", "org/a-7b"),
        (Installed(llama_server=True), "server", None),
        (Installed(vllm=True), "server", None),
        (Installed(ollama=True, llama_server=True, vllm=True, gguf="/a.gguf", hub="o/m"), "server", "/a.gguf"),
        (Installed(ollama=True, vllm=True, hub="o/m"), "ollama", None),
    ],
)
def test_what_is_installed_gets_a_block_that_can_be_pasted(installed: Installed, kind: str, source: str | None) -> None:
    """The configuration reads it, a provider is made of it, and its model is that provider's."""
    config = block(said(installed))
    (provider,) = config.providers
    assert load_provider(provider).kind == kind == provider.kind
    assert [m.source for m in config.models] == ([] if source is None else [source])
    assert all(m.provider == provider.name for m in config.models)


def test_a_runtime_without_a_model_says_how_to_get_on() -> None:
    """The command names the provider of the block."""
    for installed in (Installed(llama_server=True), Installed(vllm=True)):
        sentence = said(installed)
        assert f"arbiter register --provider {block(sentence).providers[0].name} " in sentence


def test_where_nothing_is_installed_no_block_is_made_up() -> None:
    """What could be installed is named."""
    sentence = said(Installed(gguf="/a.gguf", hub="o/m"))
    assert "[[providers]]" not in sentence
    for name in ("llama-server", "Ollama", "vLLM"):
        assert name in sentence


def test_only_what_is_here_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs by PATH; of the hub's cache only models that have weights."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_installed(None) == Installed()
    for name in ("vllm", "llama-server"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    (tmp_path / "hub" / "models--org--half" / "snapshots" / "1").mkdir(parents=True)
    whole = tmp_path / "hub" / "models--org--a-7b" / "snapshots" / "1"
    whole.mkdir(parents=True)
    (whole / "model.safetensors").write_bytes(b"")
    os.utime(tmp_path / "hub" / "models--org--half")
    assert find_installed("/a.gguf") == Installed(vllm=True, llama_server=True, gguf="/a.gguf", hub="org/a-7b")
