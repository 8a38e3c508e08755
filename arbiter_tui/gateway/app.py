"""The engine's HTTP surface as one ASGI application.

Owns: which doors stand side by side, and what happens to a path that none of them has. Never: a dialect, a decision.

The streaming endpoints are asked before Starlette: its layers would stand around every piece of every answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..config import Config
from ..config_server import ANY_ADDRESS, ServerConfig
from ..engine.arbiter import Arbiter
from ..errors import ConfigError
from .access_log import AccessLog, PrivateFile, opened
from .anthropic import AnthropicDoor
from .auth import KeyGuard
from .calls import PREFIX, Ask, Call, Reply, mount
from .control import Reads
from .control_history import Histories
from .control_keys import Keys
from .control_porting import Porting
from .control_writes import Reload, Writes
from .exchange import PING_S
from .generation import LOAD_WAIT_S, Generator
from .health import Health
from .limits import App, BodyLimit, HostGuard, Receive, Scope, Send
from .ollama import OllamaDoor
from .openai import OpenAIDoor
from .openapi import document
from .operations import Operations
from .problems import BadRequest, dialect_of


def build_app(
    arbiter: Arbiter,
    *,
    on_stop: Callable[[], None],
    load_wait_s: float = LOAD_WAIT_S,
    ping_s: float = PING_S,
    trusted: bool = False,
    on_reload: Reload | None = None,
) -> App:
    """``on_stop``: called once by POST /arbiter/v1/engine/stop, must return at once. ``on_reload``: reads the
    configuration again; given True it only says what that would do.

    ``load_wait_s``: longest wait of a request that is not streamed for a model to load (seconds); ``ping_s``: silence
    after which a stream gets a comment; ``trusted``: in-process, for a command that holds the state folder's lock.
    """
    server = arbiter.config.server
    limit = BodyLimit(server.limits)
    operations = Operations(arbiter)
    reads = Reads(arbiter, operations)
    writes = Writes(arbiter, operations, reads, on_stop=on_stop, on_reload=on_reload)
    calls = [*reads.calls(), *writes.calls(), *Histories(arbiter).calls(), *Keys(arbiter).calls()]
    calls += Porting(arbiter, operations).calls()
    calls.append(_described(calls))
    generator = Generator(arbiter, load_wait_s)
    door = OpenAIDoor(generator, body_limit=limit, ping_s=ping_s)
    ollama = OllamaDoor(generator, body_limit=limit)
    anthropic = AnthropicDoor(generator, body_limit=limit, ping_s=ping_s)
    routes: list[BaseRoute] = [
        *door.routes(),
        *ollama.routes(),
        *anthropic.routes(),
        *mount(calls, body_limit=limit, audit=arbiter.store.note_change),
        *Health(arbiter, body_limit=limit).routes(),
    ]
    rest = Starlette(routes=routes, exception_handlers={404: _refused, 405: _refused})
    hot = {**door.streaming(), **ollama.streaming(), **anthropic.streaming()}
    keyed = KeyGuard(
        _HotFirst(hot, rest), arbiter.keyring, arbiter.clock,
        required=server.keys_required and not trusted,
    )  # fmt: skip
    guarded = HostGuard(keyed, hosts=_names(server), origins=server.cors_origins, exposed=server.exposed)

    def adopt(config: Config) -> None:
        limit.adopt(config.server.limits)
        guarded.adopt(_names(config.server), config.server.cors_origins)
        generator.recogniser.adopt(config.rules)

    arbiter.live.on_config.append(adopt)
    if server.access_log is None or trusted:
        return guarded
    return AccessLog(
        guarded, _log_file(arbiter.config), prompt=arbiter.history.prompt_of if server.access_log_prompts else None
    )


def _names(server: ServerConfig) -> set[str]:
    return {server.host, *server.hosts} - ANY_ADDRESS


def _log_file(config: Config) -> PrivateFile:
    """Raises ConfigError."""
    try:
        return opened(config.server.access_log or "", config.path.parent if config.path else Path())
    except OSError as error:
        where = f"{config.path or 'the configuration'}: server.access_log = {config.server.access_log!r}"
        raise ConfigError(f"{where}: can't be written: {error.strerror or error}") from error


class _HotFirst:
    """ASGI wrapper: POSTs to the streaming endpoints go straight to them, all else to the rest."""

    def __init__(self, hot: Mapping[str, App], rest: App) -> None:
        self._hot = hot
        self._rest = rest

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        hot = self._hot.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        return (hot or self._rest)(scope, receive, send)


def _described(calls: list[Call]) -> Call:
    async def describe(_: Ask) -> Reply:
        return Reply(document([*calls, call]))

    call = Call(method="GET", path="/openapi.json", summary="This description", do=describe)
    return call


def _meant(path: str, routes: Sequence[BaseRoute]) -> str | None:
    """A path of ours that differs in its beginning alone: a base address with too much of it, or too little."""
    known = (route.path for route in routes if isinstance(route, Route) and not route.path.startswith("/arbiter"))
    return next((k for k in known if len(k) > 1 and len(path) > 1 and (k.endswith(path) or path.endswith(k))), None)


async def _refused(request: Request, error: Exception) -> Response:
    """No such path, or not with this method, in the dialect of its neighbours."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    path = request.url.path
    what = f"{request.method} is not possible at" if status == 405 else "no such path:"
    hint = f"; the control API is described at {PREFIX}/openapi.json" if path.startswith("/arbiter") else ""
    if status == 404 and (meant := _meant(path, request.app.routes)) is not None:
        hint = f"; did you mean {meant}? OpenAI's base address ends with /v1, the others' have no path"
    code = "method_not_allowed" if status == 405 else "not_found"
    refusal = BadRequest(f"{what} {path[:200]}{hint}", status=status, code=code)
    dialect = dialect_of(path)
    headers = dict(getattr(error, "headers", None) or {})
    return Response(dialect.render(refusal), status_code=status, headers=headers, media_type=dialect.kind.decode())
