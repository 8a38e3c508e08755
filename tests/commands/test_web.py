"""The cockpit in a browser: loopback only, no foreign page, how to install it."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import web as http
from aiohttp.test_utils import TestClient, TestServer

from arbiter_tui.commands import web
from arbiter_tui.errors import ConfigError


@pytest.mark.parametrize(
    ("headers", "admitted"),
    [
        ({"Host": "127.0.0.1:8018"}, True),
        ({"Host": "localhost:8018", "Origin": "http://localhost:8018"}, True),
        ({"Host": "[::1]:8018", "Origin": "http://[::1]:8018"}, True),
        ({"Host": "127.0.0.1:8018", "Origin": "https://evil.example"}, False),
        ({"Host": "127.0.0.1:8018", "Origin": "http://127.0.0.1:9999"}, False),
        ({"Host": "127.0.0.1:8018", "Origin": "null"}, False),
        ({"Host": "evil.example:8018", "Origin": "http://evil.example:8018"}, False),
        ({"Host": "127.0.0.1.evil.example"}, False),
        ({}, False),
    ],
)
def test_only_its_own_page_may_talk_to_it(headers: dict[str, str], admitted: bool) -> None:
    """A page of another site, another port or a rebound name is refused."""
    assert web.admitted(headers) is admitted


class Base:
    """As much of textual-serve's server as is built upon."""

    def __init__(self, command: str, **kw: Any) -> None:
        self.command, self.kw = command, kw

    async def _make_app(self) -> http.Application:
        async def page(request: http.Request) -> http.Response:
            return http.Response(text="page")

        app = http.Application()
        app.add_routes([http.get("/", page), http.get("/ws", page)])
        return app

    def serve(self) -> None:
        """Returns at once."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """textual-serve's place is taken."""
    package, module = ModuleType("textual_serve"), ModuleType("textual_serve.server")
    module.Server = Base  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "textual_serve", package)
    monkeypatch.setitem(sys.modules, "textual_serve.server", module)


@pytest.mark.usefixtures("serve")
@pytest.mark.parametrize("path", ["/", "/ws"])
async def test_a_foreign_page_gets_nothing_and_the_own_one_loads_nothing_from_elsewhere(path: str) -> None:
    """403 for the other site, also on the socket that drives the cockpit; the policy allows only this server."""
    app = await web._server_class()("command", host=web.HOST, port=1)._make_app()
    async with TestClient(TestServer(app)) as client:
        good = await client.get(path)
        assert (good.status, await good.text()) == (200, "page")
        assert "default-src 'none'" in good.headers["Content-Security-Policy"]
        bad = await client.get(path, headers={"Origin": "https://evil.example"})
        assert bad.status == 403


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A usage error with the very command."""
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    with pytest.raises(ConfigError, match=r"pip install 'arbiter-tui\[web\]'"):
        web.web(Namespace(url=None, port=8018))


@pytest.mark.usefixtures("serve")
def test_a_tab_is_a_cockpit_attached_to_the_engine(tmp_path: Path) -> None:
    """The same doors and rights as in a terminal; on loopback whatever was asked."""
    options = Namespace(url="http://127.0.0.1:1/", port=5, read_only=True, config=None, state_dir=str(tmp_path))
    command = web.tab(options, "http://127.0.0.1:1")
    assert command[1:5] == ["-m", "arbiter_tui", "attach", "http://127.0.0.1:1"]
    assert "--read-only" in command
    assert web.web(options) == 0
