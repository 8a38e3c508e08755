"""Parts of a chat that are no text: untouched to a model that takes them, else refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from arbiter_providers import _openai_wire as wire
from gateway_cases import CHAT, Stand, stand

from arbiter_tui.core.registry import ModelVersion
from arbiter_tui.gateway.limits import parse_object
from arbiter_tui.gateway.openai_in import read_chat
from arbiter_tui.testing import Behaviour, FakeProvider

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
WHOLE = json.dumps({"choices": [{"message": {"content": "a cat"}, "finish_reason": "stop"}]}).encode()
STREAM = [b'data: {"choices": [{"delta": {"content": "a cat"}, "finish_reason": "stop"}]}\n\n', b"data: [DONE]\n\n"]


def said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


@pytest.fixture
def seeing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fake model takes images."""
    plain = FakeProvider.version

    def version(self: FakeProvider, name: str, **changes: Any) -> ModelVersion:
        return plain(self, name, capabilities=frozenset({"text-generation", "vision"}), **changes)

    monkeypatch.setattr(FakeProvider, "version", version)


async def asked(one: Stand, *parts: dict[str, Any], stream: bool = False) -> Any:
    return await one.http.post(CHAT, json={"model": "fake-a", "messages": said(*parts), "stream": stream})


@pytest.mark.usefixtures("seeing")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_takes_images_gets_them(stream: bool) -> None:
    """Its runtime's own answer comes back."""
    async with stand({"fake-a": Behaviour(relayed=STREAM if stream else [WHOLE])}) as one:
        answer = await asked(one, IMAGE, stream=stream)
        assert (answer.status_code, answer.content) == (200, b"".join(STREAM) if stream else WHOLE)


@pytest.mark.usefixtures("seeing")
@pytest.mark.parametrize(("behaviour", "part", "words"), [
    (Behaviour(relayed=[WHOLE]), SOUND, "messages[0].content[1] (input_audio): fake-a takes none"),
    (Behaviour(), IMAGE, "messages[0].content[1] (image_url): the runtime of fake-a can't be asked"),
])  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_takes_none_refuses_by_name(
    behaviour: Behaviour, part: dict[str, Any], words: str, stream: bool
) -> None:
    """400 with the part and the model; no runtime is asked without it."""
    async with stand({"fake-a": behaviour}) as one:
        answer = await asked(one, part, stream=stream)
        assert answer.status_code == 400
        assert words in answer.json()["error"]["message"]
        assert sum(model.served for model in one.provider.loaded.values()) == 0


async def test_without_the_capability_an_image_is_refused_and_files_always_are() -> None:
    """A part of an unknown type is refused before anybody is chosen."""
    async with stand({"fake-a": Behaviour(relayed=[WHOLE])}) as one:
        assert "'vision'" in (await asked(one, IMAGE)).json()["error"]["message"]
        file = await asked(one, {"type": "file", "file": {"file_id": "x"}})
        assert (file.status_code, file.json()["error"]["param"]) == (400, "messages[0].content[1]")


def test_the_parts_go_on_as_they_were_sent() -> None:
    """Byte for byte in the client's own words."""
    raw = json.dumps({"model": "arbiter/chat", "temperature": 0.5, "messages": said(IMAGE, SOUND)}).encode()
    request = read_chat(parse_object(raw), raw).request
    assert [needed for _, needed in request.media] == ["vision", "audio"]
    assert wire.original(request, wire.Dialect("m")) == raw.replace(b'"arbiter/chat"', b'"m"')


@pytest.mark.parametrize(("entry", "props", "found"), [
    ({"id": "m"}, {}, set()),
    ({"id": "m", "type": "vlm"}, {}, {"vision"}),
    ({"id": "m"}, {"modalities": {"vision": True, "audio": False}}, {"vision"}),
    ({"id": "m"}, {"modalities": {"vision": True, "audio": True}}, {"vision", "audio"}),
    ({"id": "m"}, {"modalities": "odd"}, set()),
])  # fmt: skip
def test_what_a_server_says_of_its_model(entry: dict[str, Any], props: dict[str, Any], found: set[str]) -> None:
    """LM Studio by its type, llama-server by its properties."""
    version = wire.version_of(entry, provider="p", context=None, parallel=1, chat=True, senses=wire.senses(props))
    assert version is not None
    assert version.capabilities & {"vision", "audio"} == found
