"""The tunnel through the user's own ssh, with a program in its place: link loss and return, its words, its end."""

from __future__ import annotations

import json
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from arbiter_tui.client import fetch_json
from arbiter_tui.commands import tunnel as t
from arbiter_tui.errors import ConfigError, EngineUnreachable

FAKE = Path(__file__).with_name("fake_ssh.py")
DEADLINE_S = 20.0


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Alive(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"status": "ok"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[int]:
    """The port of something that answers like an engine's health check."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Alive)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with ``ssh`` in it."""
    program = tmp_path / "ssh"
    program.write_text(f"#!{sys.executable}\n{FAKE.read_text()}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def calls(ssh: Path) -> list[list[str]]:
    return [json.loads(x) for x in (ssh / "calls").read_text().splitlines()]


def answers(tunnel: t.Tunnel) -> bool:
    try:
        return bool(fetch_json(tunnel.url(), "/health/liveness", timeout=5)["status"] == "ok")
    except EngineUnreachable:
        return False


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("ssh://gpu-box", t.Place("gpu-box")),
        ("ssh://me@gpu-box:2222", t.Place("gpu-box", "me", 2222)),
        ("ssh://me@gpu-box?port=9000", t.Place("gpu-box", "me", None, 9000)),
        ("ssh://[::1]:22/", t.Place("::1", None, 22)),
    ],
)
def test_an_address_is_read(target: str, place: t.Place) -> None:
    """User, host, ssh's port, the engine's port."""
    assert t.parse(target) == place


@pytest.mark.parametrize(
    "target",
    ["ssh://", "ssh://-oProxyCommand=x", "ssh://-l@host", "ssh://h:port", "ssh://h?port=x", "ssh://h?port=0",
     "ssh://h?prot=1", "ssh://h/path", "ssh://me:secret@h"],
)  # fmt: skip
def test_a_wrong_address_is_refused(target: str) -> None:
    """Nothing of it can become an option of ssh's; what is not understood is not ignored; nothing secret is taken."""
    with pytest.raises(ConfigError, match="ssh://"):
        t.parse(target)


def test_it_forwards_and_ends_its_own_child(ssh: Path, engine: int) -> None:
    """The engine there answers here; afterwards no ssh is left, and the port is closed."""
    with t.through(t.Place("gpu-box", "me", 2222, engine)) as tunnel:
        assert answers(tunnel)
        child = tunnel._process
        url = tunnel.url()
    assert child is not None
    assert child.poll() is not None
    with pytest.raises(EngineUnreachable):
        fetch_json(url, "/health/liveness", timeout=2)
    (call,) = calls(ssh)
    assert call[-2:] == ["--", "me@gpu-box"]
    assert call[call.index("-p") : call.index("-p") + 2] == ["-p", "2222"]
    assert {"-N", "-L", "ExitOnForwardFailure=yes", "ServerAliveInterval=1"} <= set(call)
    assert "BatchMode=yes" not in call


def test_a_lost_link_comes_back_by_itself(ssh: Path, engine: int) -> None:
    """While it is down its reason is ssh's own; when the link is back, the same address answers again, unasked."""
    with t.through(t.Place("gpu-box", None, None, engine)) as tunnel:
        url = tunnel.url()
        (ssh / "cut").touch()
        until(lambda: "No route to host" in tunnel._reason)
        with pytest.raises(EngineUnreachable, match=r"no link to gpu-box: ssh: connect .* No route to host"):
            tunnel.url()
        (ssh / "cut").unlink()
        until(lambda: answers(tunnel))
        assert tunnel.url() == url
        assert all("BatchMode=yes" in c for c in calls(ssh)[1:])


def test_sshs_own_words_are_the_reason(ssh: Path, engine: int) -> None:
    """A refused key is told as ssh tells it; nothing is left behind."""
    (ssh / "denied").touch()
    with pytest.raises(EngineUnreachable, match=r"no link to gpu-box: me@gpu-box: Permission denied \(publickey\)"):
        t.Tunnel(t.Place("gpu-box", None, None, engine)).open()


def test_the_far_arbiter_is_asked_for_its_port(ssh: Path, engine: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the usual port: `arbiter status --json` there names the one that is used."""
    monkeypatch.setattr(t, "PORT", t._free_port())
    (ssh / "status").write_text(json.dumps({"engine": {"state": "ready", "url": f"http://127.0.0.1:{engine}"}}))
    with t.through(t.Place("gpu-box")) as tunnel:
        assert answers(tunnel)
    assert [c[-1] for c in calls(ssh) if "-L" not in c] == ["arbiter status --json"]


@pytest.mark.parametrize(
    "status", ["", "no json", '{"engine": {"state": "offline", "url": "http://127.0.0.1:1"}}', "[]"]
)
def test_no_engine_there_is_a_sentence(ssh: Path, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    """The tunnel stands but nobody answers: where to start one, how to name a port; the child is ended."""
    monkeypatch.setattr(t, "PORT", t._free_port())
    (ssh / "status").write_text(status)
    tunnel = t.Tunnel(t.Place("gpu-box"))
    with pytest.raises(EngineUnreachable, match=r"no engine answers on port \d+ of gpu-box; start one there"):
        tunnel.open()
    assert tunnel._process is None


def test_without_ssh_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program of that name."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineUnreachable, match="ssh can't be started"):
        t.Tunnel(t.Place("gpu-box")).open()
