"""The commands as scripts use them: their JSON, their exit codes, and what they do without an engine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from engine_process import QUIET, SMOL, Engine, needs, until

from arbiter_tui.commands.text import size

TASK = "sentiment"
PARTS = {
    "status": {"revision", "engine", "budget", "models", "tasks", "hardware", "swaps", "alerts", "narrator"},
    "hardware": {"backend", "cpu", "gpus", "ram_total_bytes"},
}

# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

HEAVY = """
import sys
from arbiter_tui.cli import main
code = main(sys.argv[1:])
print(sorted({"textual", "arbiter_tui.tui", *%r} & set(sys.modules)), file=sys.stderr)
raise SystemExit(code)
"""
ENGINE = ("rich", "arbiter_tui.engine", "arbiter_tui.gateway", "starlette", "uvicorn")


def imported(engine: Engine, *words: str, besides: tuple[str, ...] = ()) -> tuple[str, str]:
    """(what the command printed, which of the screen's modules and ``besides`` it has imported)."""
    done = subprocess.run(
        [sys.executable, "-c", HEAVY % (besides,), *words, "--config", str(engine.config)],
        cwd=engine.folder, env=engine.environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.strip()


@pytest.mark.parametrize("command", ["status", "models", "tasks", "hardware", "history", "requests"])
def test_json_of_a_running_engine_without_the_screen(engine: Engine, command: str) -> None:
    """Valid JSON of the documented shape, from a process that imported neither Textual nor the engine."""
    printed, found_modules = imported(engine, command, "--json", besides=ENGINE)
    assert found_modules == "[]"
    found = json.loads(printed)
    if command in PARTS:
        assert PARTS[command] <= found.keys()
    else:
        assert isinstance(found, list)


def test_json_without_an_engine_needs_no_screen_either(fresh: Engine) -> None:
    """The same command on the state folder itself: no Textual, the same tasks."""
    printed, found_modules = imported(fresh, "tasks", "--json")
    assert found_modules == "[]"
    assert TASK in [t["task"] for t in json.loads(printed)]


def test_plain_text_of_a_running_engine(engine: Engine) -> None:
    """Every reading command prints something for people, without a single escape sequence."""
    for command in ("status", "models", "tasks", "hardware", "history", "requests", "doctor"):
        done = engine.cli(command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.strip()
        assert "\x1b" not in done.stdout


def test_status_names_the_engines_folder(engine: Engine, fresh: Engine) -> None:
    """With and without a running engine: whose state this is. An engine that would refuse every change is refused."""
    assert engine.json("status")["engine"]["state_dir"] == str(engine.state)
    assert engine.json("status")["engine"]["read_only"] is False
    assert fresh.json("status")["engine"]["state_dir"] == str(fresh.state)
    done = fresh.cli("serve", "--read-only")
    assert done.returncode == 2
    assert "can't be read-only" in done.stderr


def test_the_memory_for_models_is_the_same_everywhere(engine: Engine) -> None:
    """``doctor`` and ``hardware`` name the budget that ``status`` keeps to, not the machine's free memory."""
    limit = size(engine.json("status")["budget"]["limit_bytes"])
    (memory,) = [f for f in engine.json("doctor") if f["what"] == "memory"]
    assert memory["detail"].endswith(f", {limit} of it for models")
    assert f"of {limit} for models" in engine.cli("hardware").stdout


# ── without an engine ─────────────────────────────────────────────────────────────────────────────────────────────


@needs(SMOL)
def test_a_swap_without_an_engine_stores_the_route(fresh: Engine) -> None:
    """Nothing is loaded, the route is there for the next command and the next engine, and so is the way back."""
    tasks = {t["task"]: t for t in fresh.json("tasks")}
    other = next(m["version"] for m in fresh.json("models") if m["version"] != tasks[TASK]["incumbent"])
    swapped = fresh.json("swap", TASK, other)
    assert (swapped["result"], swapped["to"], swapped["phases"]) == ("done", other, [])
    assert {t["task"]: t for t in fresh.json("tasks")}[TASK]["incumbent"] == other
    assert all(m["state"] == "cold" for m in fresh.json("models"))
    fresh.start()
    assert fresh.call("GET", f"/tasks/{TASK}")["incumbent"] == other
    assert fresh.call("POST", f"/tasks/{TASK}/rollback?wait=60", {})["to"] == tasks[TASK]["incumbent"]


def test_exit_codes_without_an_engine(fresh: Engine) -> None:
    """0 done, 1 failed, 2 usage or configuration, 3 no engine, 4 refused; the reason stands on stderr."""
    table: list[tuple[int, tuple[str, ...], str]] = [
        (0, ("tasks",), ""),
        (0, ("config", "check"), ""),
        (0, ("ledger", "verify"), ""),
        (1, ("feedback", "nobody", "0.5"), "nobody"),
        (1, ("swap", "sentimnet", "x"), "sentiment"),
        (2, ("stats",), "status"),
        (2, ("swap", TASK), "needs VERSION"),
        (2, ("run", TASK, " "), "empty"),
        (2, ("attach", "nonsense"), "terminal"),
        (3, ("warm", "anything"), "arbiter serve"),
        (3, ("unload", "anything"), "arbiter serve"),
        (3, ("stop",), "arbiter serve"),
        (3, ("status", "--watch"), "arbiter serve"),
        (3, ("status", "--url", "http://127.0.0.1:9"), "127.0.0.1:9"),
        (4, ("rollback", TASK), "roll back"),
        (4, ("pin", "anything", "--read-only"), "read-only"),
    ]
    for code, words, reason in table:
        done = fresh.cli(*words)
        assert done.returncode == code, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
        assert bool(done.stdout) == (code == 0)


@pytest.mark.parametrize("command", ["serve", "tasks"])
def test_an_unknown_key_of_the_configuration_names_the_nearest(fresh: Engine, command: str) -> None:
    """File, key, value and the nearest valid key, in every command that reads it; exit code 2."""
    fresh.config.write_text("[pool]\nmemory_budgt = 3\n")
    for words in ((command,), ("config", "check")):
        done = fresh.cli(*words)
        assert done.returncode == 2
        for part in (str(fresh.config), "memory_budgt", "3", "pool.memory_budget"):
            assert part in done.stderr
        assert "Traceback" not in done.stderr


@needs(SMOL)
def test_run_starts_an_engine_for_its_duration(fresh: Engine) -> None:
    """A first command on a fresh machine answers, and leaves nothing running."""
    fresh.config.write_text(QUIET + "[server]\nport = 0\n")
    before = {p.pid for p in psutil.process_iter()}
    done = fresh.cli("run", SMOL, "-", "--max-tokens", "4", "--json", stdin="Say hi")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == SMOL
    assert json.loads(done.stdout)["text"]
    assert not (fresh.state / "engine.json").exists()

    def left() -> list[list[str]]:
        found = []
        for process in psutil.process_iter():
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if process.pid not in before and str(fresh.state) in line:
                found.append(line)
        return found

    until(lambda: not left(), "the end of the command's own engine")


# ── names and sources ─────────────────────────────────────────────────────────────────────────────────────────────


@needs(SMOL)
@pytest.mark.parametrize("running", [True, False])
def test_nearest_names(engine: Engine, fresh: Engine, running: bool) -> None:
    """A slip in a model's or a task's name: exit code 1 and what was probably meant, with an engine and without."""
    one = engine if running else fresh
    for words, meant in (
        (("swap", TASK, SMOL.replace("smol", "smal")), SMOL),
        (("swap", "sentimnet", SMOL), TASK),
        (("select", "sentimnet"), TASK),
        (("pin", SMOL + "x"), SMOL),
        (("run", "sentimnet", "hello"), TASK) if running else (("autopilot", "on", "sentimnet"), TASK),
    ):
        done = one.cli(*words)
        assert done.returncode == 1, f"{words}: {done.returncode} {done.stderr}"
        assert meant in done.stderr
        assert "Traceback" not in done.stderr


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 98362432\n"


@needs(SMOL)
@pytest.mark.parametrize("running", [True, False])
def test_a_file_that_is_no_model(engine: Engine, fresh: Engine, tmp_path: Path, running: bool) -> None:
    """Truncated, missing, foreign, empty, a folder, a pointer in its place: exit code 1, one sentence that says what
    is wrong with which file, and the registry is as it was."""
    one = engine if running else fresh
    before = sorted(m["version"] for m in one.json("models"))
    whole = Path(next(v["source"] for v in one.json("discover")["items"] if v["version"] == SMOL))
    with whole.open("rb") as data:
        start = data.read(3_000_000)
    cases: list[tuple[str, bytes | None, str]] = [
        ("truncated", start, "truncated"),
        ("header", start[:40], "truncated"),
        ("text", b"hello, world\n" * 100, "not a GGUF"),
        ("pointer", LFS, "git lfs pull"),
        ("empty", b"", "empty"),
        ("missing", None, "does not exist"),
    ]
    for name, content, reason in cases if running else cases[:2]:
        path = tmp_path / f"{name}.gguf"
        if content is not None:
            path.write_bytes(content)
        done = one.cli("register", str(path))
        assert done.returncode == 1, f"{name}: {done.returncode} {done.stdout} {done.stderr}"
        assert reason in done.stderr
        assert str(path) in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    assert "folder" in one.cli("register", str(tmp_path)).stderr
    assert "llama_server" in one.cli("register", str(whole), "--provider", "lama_server").stderr
    assert sorted(m["version"] for m in one.json("models")) == before


@needs(SMOL)
def test_any_other_gguf_can_be_registered_and_asked(fresh: Engine, tmp_path: Path) -> None:
    """A file of the user's own, without an engine; then an engine serves it. The same again is the same version."""
    source = next(v["source"] for v in fresh.json("discover")["items"] if v["version"] == SMOL)
    mine = tmp_path / "mine.gguf"
    mine.symlink_to(source)
    first = fresh.json("register", str(mine), "--name", "mine")
    assert first["lifecycle"] in ("draft", "active")
    again = fresh.json("register", str(mine), "--name", "another")
    assert (again["version"], again["known"]) == (first["version"], True)
    told = fresh.cli("register", str(mine))
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"already known as {first['version']}")
    fresh.start()
    assert fresh.ask(first["version"])["choices"][0]["message"]["content"]


# ── one port, one folder ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_port_in_use_names_the_way_out(fresh: Engine) -> None:
    """Exit code 2; the sentence names the address and --port; the state folder is free again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = fresh.cli("serve", "--port", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    assert fresh.cli("tasks").returncode == 0


def test_a_second_engine_is_refused_with_the_firsts_pid_and_url(engine: Engine) -> None:
    """Two engines never open one folder; the first goes on serving; commands reach it instead."""
    for port in ("0", engine.url.rpartition(":")[2]):
        done = engine.cli("serve", "--port", port)
        assert done.returncode == 1
        assert str(engine.pid) in done.stderr
        assert engine.url in done.stderr
        assert "arbiter stop" in done.stderr
    assert engine.json("status")["engine"]["url"] == engine.url


def test_stop_drains_and_ends(fresh: Engine) -> None:
    """``arbiter stop`` ends this folder's engine with exit code 0 and leaves no worker."""
    fresh.start()
    assert fresh.cli("stop").returncode == 0
    assert fresh.ended() == 0
    assert not (fresh.state / "engine.json").exists()
