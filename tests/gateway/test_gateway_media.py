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
    (Behaviour(sees=False), IMAGE, "fake-a takes text only"),
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


async def test_without_the_capability_an_image_is_refused() -> None:
    """With the way out; a part of an unknown type is refused before anybody is chosen."""
    async with stand({"fake-a": Behaviour(relayed=[WHOLE])}) as one:
        told = (await asked(one, IMAGE)).json()["error"]
        assert "'vision'" in told["message"]
        assert "[[models]] capabilities" in told["message"]
        assert told["param"] == "messages[0].content[1]"
        odd = await asked(one, {"type": "smell", "smell": {}})
        assert (odd.status_code, odd.json()["error"]["param"]) == (400, "messages[0].content[1]")
        assert (await asked(one, {"type": ["text"], "text": "x"})).status_code == 400


FILE = {"type": "file", "file": {"file_id": "x"}}
CHATS: list[dict[str, Any]] = [{"messages": said(FILE)}, {"messages": said(), "n": 2}]
TEXTS: list[dict[str, Any]] = [
    {"prompt": "a", "suffix": "b"}, {"prompt": "a", "echo": True}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]},
    {"prompt": [[1, 2]]}, {"prompt": "a", "n": 2},
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"), [*((CHAT, b) for b in CHATS), *(("/v1/completions", b) for b in TEXTS)],
    ids=["file", "n", "suffix", "echo", "prompts", "tokens", "token lists", "n of texts"],
)  # fmt: skip
async def test_what_only_the_clients_own_words_can_say_goes_on_in_them(path: str, body: dict[str, Any]) -> None:
    """To a server that is asked in them; any other model refuses by name, and its runtime is not asked without it."""
    async with stand({"fake-a": Behaviour(relayed=[WHOLE]), "fake-b": Behaviour()}) as one:
        assert (await one.http.post(path, json={"model": "fake-a", **body})).content == WHOLE
        refused = await one.http.post(path, json={"model": "fake-b", **body})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "not_supported")
        assert "not possible with fake-b" in refused.json()["error"]["message"]
        assert refused.json()["error"]["param"] in ("messages[0].content[1]", "n", "suffix", "echo", "prompt")
        assert one.model("fake-b").served == 0


PNG = "iVBORw0KGgo="
SHOWN = ({"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}})
BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
IN_WORDS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [{"role": "user", "content": list(SHOWN)}]}),
    ("/v1/responses", {"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]}]}),
    ("/v1/messages", {"max_tokens": 4, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What?"}, BLOCK]}]}),
    ("/api/chat", {"messages": [{"role": "user", "content": "What?", "images": [PNG]}]}),
    ("/api/generate", {"prompt": "What?", "images": [PNG]}),
]  # fmt: skip


@pytest.mark.usefixtures("seeing")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "body"), IN_WORDS, ids=[path for path, _ in IN_WORDS])
async def test_an_image_reaches_the_model_from_each_dialect(path: str, body: dict[str, Any], stream: bool) -> None:
    """One form for its runtime, whichever the client's; the text beside it is what everybody else sees."""
    heard: list[Any] = []
    seeing = Behaviour(answer=lambda request: heard.append(request.messages[-1]) or "a cat")  # type: ignore[func-returns-value]
    async with stand({"fake-a": seeing}) as one:
        answer = await one.http.post(path, json={"model": "fake-a", "stream": stream, **body})
        assert answer.status_code == 200
        assert [(m.role, m.content, m.parts) for m in heard] == [("user", "What?", SHOWN)]


@pytest.mark.parametrize(("path", "body"), IN_WORDS, ids=[path for path, _ in IN_WORDS])
async def test_a_model_that_does_not_see_is_not_asked(path: str, body: dict[str, Any]) -> None:
    """400 in each dialect that names the place and the capability."""
    async with stand() as one:
        answer = await one.http.post(path, json={"model": "fake-a", "stream": False, **body})
        assert answer.status_code == 400
        assert "'vision'" in answer.text
        assert sum(model.served for model in one.provider.loaded.values()) == 0


@pytest.mark.parametrize(("path", "body", "named"), [
    ("/api/chat", {"messages": [{"role": "user", "content": "x", "images": "aGk="}]}, "messages[0].images"),
    ("/api/chat", {"messages": [{"role": "user", "content": "x", "images": [5]}]}, "messages[0].images"),
    ("/api/generate", {"prompt": "x", "raw": True, "images": [PNG]}, "images"),
    ("/v1/messages", {"max_tokens": 1, "messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "file", "file_id": "x"}}]}]}, "messages[0].content[0].source"),
    ("/v1/messages", {"max_tokens": 1, "messages": [{"role": "assistant", "content": [BLOCK]}]},
     "messages[0].content[0]"),
    ("/v1/responses", {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}]},
     "input[0].content[0]"),
])  # fmt: skip
async def test_a_picture_that_is_none_is_named(path: str, body: dict[str, Any], named: str) -> None:
    """400 before anybody is chosen."""
    async with stand() as one:
        answer = await one.http.post(path, json={"model": "fake-a", **body})
        assert answer.status_code == 400
        assert named in answer.text
        assert one.provider.loads == []


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
