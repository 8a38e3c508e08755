"""Pictures through each runtime's own dialect: they go in whole, or are refused before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest
from arbiter_providers import _anthropic_wire, _llama_server_wire, _ollama_wire, _openai_wire

from arbiter_tui.errors import NotSupported
from arbiter_tui.provider import Message, Request

TEXT = {"type": "text", "text": "What?"}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aGk=", "detail": "low"}}
FAR = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
OLD = {"type": "refusal", "refusal": "No."}


def asked(*parts: dict[str, Any]) -> Request:
    text = "".join(str(part[part["type"]]) for part in parts if part["type"] in ("text", "refusal"))
    return Request(messages=(Message("user", text, parts=parts),))


def ollama(request: Request, *, bare: bool = False) -> dict[str, Any]:
    return _ollama_wire.call(request, model="m", context=None, bare=bare)[1]


def test_openais_form_keeps_the_parts_as_they_are() -> None:
    """Detail, sound and order included."""
    path, body = _openai_wire.call(asked(TEXT, PICTURE, SOUND), _openai_wire.Dialect("m"))
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": [TEXT, PICTURE, SOUND]}]


def test_ollamas_pictures_stand_beside_the_text() -> None:
    """Base64 alone, in their order."""
    (message,) = ollama(asked(TEXT, PICTURE, OLD, PICTURE))["messages"]
    assert message == {"role": "user", "content": "What?No.", "images": ["aGk=", "aGk="]}


def test_anthropics_blocks_keep_their_order() -> None:
    """A picture itself, or where it lies."""
    body = _anthropic_wire.call(asked(PICTURE, TEXT, FAR, OLD), "m")
    assert body["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}},
        {"type": "text", "text": "What?"},
        {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        {"type": "text", "text": "No."},
    ]


def test_what_a_runtime_has_no_words_for_is_refused() -> None:
    """Sound outside OpenAI's form; an address for who fetches nothing; anything where only text goes in."""
    for part in (SOUND, FAR):
        with pytest.raises(NotSupported):
            ollama(asked(TEXT, part))
    with pytest.raises(NotSupported):
        ollama(asked(TEXT, PICTURE), bare=True)
    with pytest.raises(NotSupported):
        _anthropic_wire.call(asked(TEXT, SOUND), "m")
    with pytest.raises(NotSupported):
        _openai_wire.call(asked(TEXT, PICTURE), _openai_wire.Dialect("m", chat=False))
    for template in (True, False):
        with pytest.raises(NotSupported):
            _llama_server_wire.call(asked(TEXT, PICTURE), chat_template=template)
