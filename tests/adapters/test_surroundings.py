"""What is on this machine already: servers at their ports, files in the usual folders; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from arbiter_tui.adapters import surroundings
from arbiter_tui.adapters.plugins import load_provider
from arbiter_tui.adapters.surroundings import Finding, look, usual_folders
from arbiter_tui.config import parse

MIB = 1024 * 1024


@asynccontextmanager
async def serving(monkeypatch: pytest.MonkeyPatch, answer: Any, status: int = 200) -> AsyncIterator[int]:
    """A server on a free port that takes llama-server's place; the other ports are left alone."""

    async def models(_: web.Request) -> web.Response:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return web.Response(status=status, text=text, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = int(runner.addresses[0][1])
    monkeypatch.setattr(surroundings, "PORTS", {port: "llama-server"})
    try:
        yield port
    finally:
        await runner.cleanup()


async def find(*folders: Path, known: tuple[str, ...] = (), own_port: int | None = None) -> list[Finding]:
    return await look(known=known, own_port=own_port, folders=list(folders))


async def test_a_server_that_answers_gets_a_block_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by what it says of itself; the block is read by the configuration and accepted by a provider."""
    listed = {"data": [{"id": "m-7b", "owned_by": "vllm"}, {"id": "n"}, {"nonsense": 1}, 7]}
    async with serving(monkeypatch, listed) as port:
        (found,) = await find()
        assert (found.kind, found.name, found.models) == ("server", "vLLM", ("m-7b", "n"))
        (block,) = parse(found.how or "").providers
        assert load_provider(block).kind == "openai_compatible"
        assert block.options["base_url"] == found.where == f"http://127.0.0.1:{port}"
        assert await find(known=(f"http://127.0.0.1:{port}/",)) == [], "it is configured already"
        assert await find(own_port=port) == [], "it is the arbiter itself"


@pytest.mark.parametrize(("answer", "status"), [("<html>", 200), ("[]", 200), ({"data": 7}, 200), ({"data": []}, 404)])
async def test_what_is_no_such_server_is_left_out(monkeypatch: pytest.MonkeyPatch, answer: Any, status: int) -> None:
    """Another program at the port, in whatever way it answers, is not proposed; nor is nobody."""
    async with serving(monkeypatch, answer, status):
        assert await find() == []
    monkeypatch.setattr(surroundings, "PORTS", {9: "llama-server"})
    assert await find() == []


async def test_a_silent_server_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that accepts and says nothing is given up."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    monkeypatch.setattr(surroundings, "PORTS", {server.sockets[0].getsockname()[1]: "LM Studio"})
    monkeypatch.setattr(surroundings, "ASK_WITHIN_S", 0.1)
    assert await find() == []
    server.close()


async def test_files_of_each_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GGUF by the first of its parts, folders of safetensors as one model (MLX by its marks), ONNX without a way yet;
    what is small, a projector, known, or seen through another link is left out."""
    monkeypatch.setattr(surroundings, "PORTS", {})
    lots = b"\0" * MIB
    for name in (
        "a b.gguf",
        "big-00001-of-00002.gguf",
        "big-00002-of-00002.gguf",
        "mmproj-x.gguf",
        "n.onnx",
        "own.gguf",
    ):
        (tmp_path / name).write_bytes(lots)
    (tmp_path / "tiny.gguf").write_bytes(b"x")
    (tmp_path / "link.gguf").symlink_to(tmp_path / "a b.gguf")
    for folder, config in (
        (tmp_path / "models--org--m-7b" / "snapshots" / "1", {}),
        (tmp_path / "mlx-community" / "q", {"quantization": {}}),
    ):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "model.safetensors").write_bytes(lots)
    found = {f.name: f for f in await find(tmp_path, tmp_path, known=(str(tmp_path / "own.gguf"),))}
    assert set(found) == {"a b", "big-00001-of-00002", "n", "org/m-7b", "q"}
    assert found["a b"].how == f"arbiter register '{tmp_path / 'a b.gguf'}'"
    assert (found["n"].kind, found["n"].how, found["n"].bytes) == ("onnx", None, MIB)
    for name, kind, program in (("org/m-7b", "safetensors", "vllm"), ("q", "mlx", "mlx_lm.server")):
        (block,) = parse(found[name].how or "").providers
        assert found[name].kind == kind
        assert block.options["command"][0] == program
        assert load_provider(block).kind == "server"


async def test_proposals_hold_for_odd_names_and_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quotes, umlauts and signs beyond 16 bits in a path; two folders' blocks can stand in one file."""
    monkeypatch.setattr(surroundings, "PORTS", {})
    odd = tmp_path / "it's \N{SNOWMAN}\N{GRINNING FACE}.gguf"
    odd.write_bytes(b"\0" * MIB)
    folders = [tmp_path / "N\u00e4me \N{GRINNING FACE}", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(b"\0" * MIB)
    found = await find(tmp_path)
    (command,) = (f.how or "" for f in found if f.kind == "gguf")
    assert shlex.split(command) == ["arbiter", "register", str(odd)]
    blocks = parse("\n".join(f.how or "" for f in found if f.kind == "safetensors")).providers
    assert {source for b in blocks for source in b.options["models"]} == {str(folder) for folder in folders}


async def test_a_damaged_or_closed_folder_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that is no JSON, a folder that is not there."""
    monkeypatch.setattr(surroundings, "PORTS", {})
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"\xff{")
    (folder / "w.safetensors").write_bytes(b"x")
    assert [f.name for f in await find(tmp_path, tmp_path / "nowhere")] == ["m"]


def test_usual_folders_are_those_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the user's home and where the hub's variables point."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert usual_folders() == []
    for place in ("hf/hub", ".lmstudio/models", "models"):
        (tmp_path / place).mkdir(parents=True)
    assert set(usual_folders()) == {tmp_path / p for p in ("hf/hub", ".lmstudio/models", "models")}
