"""A client's own words for a model of a running server: its bytes, but for the model's name, and the same meaning."""

from __future__ import annotations

import json
from typing import Any

import pytest
from arbiter_providers import _openai_wire as wire

from arbiter_tui.gateway.limits import parse_object
from arbiter_tui.gateway.openai_in import read_chat

SAID: list[dict[str, Any]] = [{"role": "user", "content": 'Say "model": "x", \\ and {"model"}.'}]
PLAIN: list[dict[str, Any]] = [{"role": "user", "content": "Say a word."}]


def sent(raw: bytes, model: str = "m") -> bytes:
    found = wire.original(read_chat(parse_object(raw), raw).request, wire.Dialect(model, grammar=True))
    assert found is not None
    return found


@pytest.mark.parametrize("body", [
    {"model": "arbiter/chat", "messages": PLAIN},
    {"messages": PLAIN, "max_tokens": 5, "model": "arbiter/chat", "stream": True},
    {"model": "a", "messages": SAID, "temperature": 0.25, "max_completion_tokens": 7},
    {"model": "a", "messages": PLAIN, "metadata": {"model": "not this one"}},
    {"metadata": {"model": "not this one"}, "messages": PLAIN, "model": "this one"},
    {"model": 'a "quoted" name', "messages": PLAIN},
    {"model": "a", "messages": PLAIN, "keep_alive": "5m"},
    {"model": "ä", "messages": [{"role": "user", "content": "Grüße \u2028 😀"}]},
    {"messages": PLAIN},
    {"messages": [{"role": "user", "content": '"model'}], "model": "a"},
])  # fmt: skip
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("indent", [None, 2])
def test_the_meaning_is_the_clients_with_this_model(body: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    """However it is written: every field as it was sent, our model's name; no limit where the client names none."""
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode()
    said = {key: value for key, value in body.items() if key != "keep_alive"}
    for model in ("m", 'odd "name" ü'):
        assert parse_object(sent(raw, model)) == {"temperature": 0.0, **said, "model": model}


def test_the_bytes_are_the_clients() -> None:
    """Its blanks, its order of fields, its way to write a number: nothing is written anew but the model's name."""
    raw = b'{ "messages" : [{"role":"user","content":"a\\tb"}],\n"temperature":1e-1,"max_tokens":9 , "model" : "x/y" }'
    assert sent(raw) == raw.replace(b'"model" : "x/y"', b'"model": "m"').replace(b"{ ", b"{ ", 1)


def test_a_name_that_is_written_as_an_escape_is_found_all_the_same() -> None:
    """The key's letters may be escapes, and an inner object may have such a key: the outer one's is replaced."""
    raw = b'{"mod\\u0065l": "x", "metadata": {"model": "inner"}, "messages": [{"role": "user", "content": "a"}]}'
    told = json.loads(sent(raw))
    assert (told["model"], told["metadata"]) == ("m", {"model": "inner"})
