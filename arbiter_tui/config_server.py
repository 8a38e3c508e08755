"""The [server] section: where the engine listens, and who may come in.

Owns: its settings, defaults and checks. Never: opens a socket, knows a key.
"""
# ruff: noqa: RUF009 - setting() is dataclasses.field() with the key's checks as metadata

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from .config_reader import Where, setting

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsConfig:
    body_bytes: int = setting(8 * 2**20, kind="size", low=1024, help="largest request body")
    body_s: float = setting(30.0, kind="number", low=0.1, high=3600, help="from a request's head to its body's end")
    head_bytes: int = setting(64 * 2**10, kind="size", low=1024, high=2**20, help="largest head of a request")
    head_s: float = setting(15.0, kind="number", low=0.1, high=3600, help="from a head's first byte to its last")
    reader_s: float = setting(60.0, kind="number", low=0.1, high=3600, help="so long a client may read nothing")
    idle_s: int = setting(30, kind="int", low=1, high=3600, help="an idle connection is closed after so long")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    host: str = setting("127.0.0.1", kind="text", help="another address than loopback needs a key: arbiter key create")
    port: int = setting(8017, kind="int", low=0, high=65535, help="0 takes any free port")
    require_key: bool = setting(False, kind="flag", help="true: loopback needs a key, too")
    hosts: tuple[str, ...] = setting((), kind="texts", help="further names under which clients may reach it")
    cors_origins: tuple[str, ...] = setting((), kind="texts", help="web pages' origins that may use /v1 and /api")
    access_log: str | None = setting(None, kind="text", help="a file that gets one JSON line per request")
    access_log_prompts: bool = setting(False, kind="flag", help="with their prompts; those of private tasks never")
    limits: LimitsConfig = setting(factory=LimitsConfig, kind="section", section=LimitsConfig, help="protections")

    @property
    def url(self) -> str:
        """Where this machine's own clients reach it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def exposed(self) -> bool:
        """Whether other machines may reach it."""
        return not is_loopback(self.host)

    @property
    def keys_required(self) -> bool:
        return self.require_key or self.exposed


def is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def check_server(server: ServerConfig, where: Where) -> None:
    """Raises ConfigError."""
    if not is_address(server.host) and not _HOST_NAME.fullmatch(server.host):
        raise where.key("host").error(server.host, "must be an address of this machine", ("127.0.0.1", "0.0.0.0"))
    for i, name in enumerate(server.hosts):
        if not _HOST_NAME.fullmatch(name):
            raise where.key("hosts").item(i).error(name, 'must be a plain host name, as in "box.lan"')
    for i, origin in enumerate(server.cors_origins):
        if not _is_origin(origin):
            problem = 'must be an origin, as in "https://chat.lan"; there is no wildcard'
            raise where.key("cors_origins").item(i).error(origin, problem)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname or "*" in text:
        return False
    return text == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
