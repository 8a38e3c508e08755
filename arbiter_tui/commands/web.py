"""``arbiter web``: the cockpit in a browser on this machine, through textual-serve (optional extra ``web``, MIT).

Owns: who may talk to that server: this machine's loopback, and pages that it served itself. Never: the cockpit (each
browser tab is an ``arbiter attach`` of its own), an address beyond loopback.

Any web page may open a connection to a port of this machine; it can't hide where it came from. A foreign ``Origin`` or
``Host`` is therefore refused, and the page may load nothing from elsewhere: nothing leaves the machine.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError
from . import text as t
from .connect import end, state_dir
from .own_engine import OwnEngine

HOST = "127.0.0.1"
NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self' ws:; frame-ancestors 'none'"
)


def web(options: Namespace) -> int:
    server_class = _server_class()
    own = OwnEngine(Namespace(**{**vars(options), "port": None}))
    url = str(options.url).rstrip("/") if options.url else own.url()
    try:
        t.note(f"arbiter: the cockpit of {url} is at http://{HOST}:{options.port}  (ctrl+c ends it)")
        server_class(shlex.join(tab(options, url)), host=HOST, port=options.port, title="arbiter").serve()
    except OSError as error:
        raise ConfigError(
            f"can't listen on {HOST}:{options.port}: {error.strerror}; choose another with --port N"
        ) from error
    finally:
        if own.process is not None and own.process.poll() is None:
            end(own.process)
    return 0


def tab(options: Namespace, url: str) -> list[str]:
    """The command behind one browser tab."""
    command = [sys.executable, "-m", "arbiter_tui", "attach", url, "--state-dir", str(state_dir(options))]
    if options.config:
        command += ["--config", os.path.abspath(options.config)]
    return [*command, "--read-only"] if options.read_only else command


def admitted(headers: Any) -> bool:
    """Whether a request comes from this machine's own page: by the names that its ``Host`` and ``Origin`` give."""
    host, origin = headers.get("Host", ""), headers.get("Origin")
    if urlsplit(f"//{host}").hostname not in NAMES:
        return False
    return origin is None or urlsplit(origin).netloc == host


def _server_class() -> type[Any]:
    try:
        base: Any = import_module("textual_serve.server").Server
        from aiohttp import web as http
    except ImportError as error:
        raise ConfigError(
            "`arbiter web` needs the package textual-serve, which is not installed: pip install 'arbiter-tui[web]' "
            "(or: pip install textual-serve)"
        ) from error

    @http.middleware
    async def guard(request: http.Request, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        if not admitted(request.headers):
            raise http.HTTPForbidden(text="arbiter web answers its own page on this machine only")
        return await handler(request)

    async def sealed(request: http.Request, response: http.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = POLICY

    class Server(base):  # type: ignore[misc]
        def initialize_logging(self) -> None:
            logging.basicConfig(level="WARNING", format="arbiter: %(message)s")
            logging.getLogger("asyncio").setLevel("ERROR")  # it warns of tabs that end while the server does

        async def _make_app(self) -> http.Application:
            app: http.Application = await super()._make_app()
            app.middlewares.append(guard)
            app.on_response_prepare.append(sealed)
            return app

        async def on_startup(self, app: http.Application) -> None:
            """Said above, without a banner."""

    return Server
