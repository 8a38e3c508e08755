"""Fields that several dialects share: their types, tools, and what a client asked for once its body is read.

Owns: the typed readers (each raises BadRequest naming the field) and ``Asked``. Never: HTTP, one dialect's names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..core.records import record
from ..provider import Request, ToolCall
from .problems import BadRequest

MAX_STOPS = 16
MAX_TOP_LOGPROBS = 20
MAX_INPUTS = 2048
MAX_TOKENS = 10_000_000
FOREVER_S = float("inf")
LONGEST_S = 3.2e9  # a century; what is longer is for ever
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


@record(frozen=True, slots=True)
class Asked:
    """What the client asked for: under which name ("" if it gave none), in which form the answer goes back.

    ``keep_s``: how long the model shall stay loaded when idle, if the client says so.
    """

    name: str
    request: Request
    stream: bool
    include_usage: bool = False
    keep_s: float | None = None


ANSWER_IDS = ("chatcmpl-", "cmpl-", "resp_", "msg_")  # how the ids in answers of our own begin


def bare_id(id: str) -> str:
    """A request's id as the engine knows it, of one that a client read in its answer."""
    return next((id.removeprefix(begin) for begin in ANSWER_IDS if id.startswith(begin)), id)


def bad(param: str, message: str) -> BadRequest:
    return BadRequest(f"{param!r} {message}", param=param)


def number(body: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad(key, "must be a number")
    if not low <= value <= high:
        raise bad(key, f"must be between {low:g} and {high:g}")
    return float(value)


def integer(body: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 8.0 is one, says JSON's schema
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(key, "must be an integer")
    if not low <= value <= high:
        raise bad(key, f"must be between {low} and {high}")
    return value


def flag(body: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad(key, "must be true or false")
    return value


def text(body: Mapping[str, Any], key: str, default: str = "") -> str:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise bad(key, "must be a text")
    return value


def model_name(body: Mapping[str, Any], key: str = "model") -> str:
    """The name to resolve; "" where the client gives none, so that its task must be recognised otherwise."""
    value = text(body, key)
    if len(value) > 256:
        raise bad(key, "is longer than 256 characters")
    return value


def stops(value: Any, key: str = "stop") -> tuple[str, ...] | None:
    if value is None:
        return None
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(s, str) and s for s in listed):
        raise bad(key, "must be a text or a list of non-empty texts")
    if len(listed) > MAX_STOPS:
        raise bad(key, f"has more than {MAX_STOPS} entries")
    return tuple(listed)


def messages(body: Mapping[str, Any], key: str = "messages") -> Sequence[tuple[Mapping[str, Any], str]]:
    """The objects of a non-empty list of messages, each with the path that names it in an error."""
    value = body.get(key)
    if not isinstance(value, list) or not value:
        raise bad(key, "must be a non-empty list")
    return [(entry(m, f"{key}[{i}]"), f"{key}[{i}]") for i, m in enumerate(value)]


def entry(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise bad(where, "must be an object")
    return value


def role(message: Mapping[str, Any], where: str) -> str:
    value = message.get("role")
    if not isinstance(value, str) or not value:
        raise bad(f"{where}.role", "must be a text")
    return value


def functions(value: Any) -> tuple[Mapping[str, Any], ...]:
    """``tools`` as OpenAI and Ollama write them; each must be a function with a name."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise bad("tools", "must be a list")
    for i, tool in enumerate(value):
        kind = entry(tool, f"tools[{i}]").get("type", "function")
        if kind != "function":
            raise bad(f"tools[{i}].type", f"must be function, not {str(kind)[:64]!r}")
        text(entry(tool.get("function"), f"tools[{i}].function"), "name")
        if not tool["function"].get("name"):
            raise bad(f"tools[{i}].function.name", "must be a non-empty text")
    return tuple({"type": "function", **tool} for tool in value)


def seconds(value: Any, key: str = "keep_alive") -> float | None:
    """A number of seconds or a duration such as "5m" or "1h30m"; below 0 is forever. None: not said."""
    if value is None:
        return None
    if isinstance(value, str):
        value = _duration(value.strip(), key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        raise bad(key, 'must be seconds or a duration such as "5m"')
    return float(value) if 0 <= value <= LONGEST_S else FOREVER_S


def _duration(given: str, key: str) -> float:
    try:
        return float(given)
    except ValueError:
        sign, spans = (-1.0, given[1:]) if given.startswith("-") else (1.0, given)
    parts = _SPAN.findall(spans)
    if not parts or "".join(n + unit for n, unit in parts) != spans:
        raise bad(key, f'must be seconds or a duration such as "5m", not {given[:32]!r}')
    return sign * sum(float(n) * _UNITS[unit] for n, unit in parts)


def calls_of(message: Mapping[str, Any], where: str) -> list[Any]:
    """The calls of an earlier turn, unread."""
    value = message.get("tool_calls")
    if value is not None and not isinstance(value, list):
        raise bad(f"{where}.tool_calls", "must be a list")
    return value or []


def call(id: Any, name: Any, arguments: Any, where: str) -> ToolCall:
    """A tool call of an earlier turn; ``arguments`` must be JSON's text already."""
    if not isinstance(name, str) or not name:
        raise bad(f"{where}.name", "must be a non-empty text")
    if not isinstance(arguments, str):
        raise bad(f"{where}.arguments", "must be a text")
    if not isinstance(id, str):
        raise bad(f"{where}.id", "must be a text")
    return ToolCall(id, name, arguments)
