"""Clients that are odd, but right: old ones, those that offer another protocol, those that write a slash too many."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from gateway_cases import CHAT, V1, Stand, served, stand

from arbiter_tui.config import ServerConfig
from arbiter_tui.testing import Behaviour

ASKED = {"model": "fake-a", "messages": [{"role": "user", "content": "hi"}]}
BODY = json.dumps(ASKED).encode()
STREAMED = json.dumps({**ASKED, "stream": True}).encode()
JAVA = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
RELAYED = [b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n',
           b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n', b"data: [DONE]\n\n"]  # fmt: skip


def post(*headers: str, body: bytes = BODY, path: str = CHAT, version: str = "1.1", host: bool = True) -> bytes:
    named = ("Host: localhost",) if host else ()
    lines = [f"POST {path} HTTP/{version}", *named, *headers, f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def said(one: Stand, *packets: bytes, answers: int = 1) -> list[tuple[bytes, bytes]]:
    """Head and body of each answer to what is sent, packet by packet."""
    url = urlsplit(one.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            return [await _answer(reader) for _ in range(answers)]
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, stated, rest = head.partition(b"content-length: ")
    return head, await (reader.readexactly(int(rest.split(b"\r\n")[0])) if stated else reader.read())


CHUNKED = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("packets", [
    [post(*JAVA)],
    [post(*JAVA)[:-20], post(*JAVA)[-20:]],
    [post(*JAVA)[: -len(BODY)], BODY],
    [CHUNKED.encode() + "\r\n".join(JAVA).encode() + b"\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)],
], ids=["at once", "body in two", "head first", "chunked"])  # fmt: skip
async def test_an_offer_of_another_protocol_costs_no_body(live: Stand, packets: list[bytes]) -> None:
    """Java's client offers HTTP/2 with each request: it is answered in HTTP/1.1, body read and all."""
    ((head, body),) = await said(live, *packets)
    assert head.startswith(b"http/1.1 200 ")
    assert json.loads(body)["choices"][0]["message"]["content"] == "hello wide world"


async def test_the_connection_goes_on_after_such_an_offer(live: Stand) -> None:
    """The next requests on it, with the offer and without, are answered in their order."""
    sent = [post(*JAVA), post(body=b"{}"), post(*JAVA)]
    answers = await said(live, b"".join(sent), answers=3)
    assert [head[:13] for head, _ in answers] == [b"http/1.1 200 ", b"http/1.1 400 ", b"http/1.1 200 "]


async def test_a_tunnel_is_not_dug(live: Stand) -> None:
    """CONNECT is for proxies."""
    ((head, body),) = await said(live, b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith(b"http/1.1 405 ")
    assert "proxy" in json.loads(body)["error"]["message"]


@pytest.mark.parametrize("relayed", [None, RELAYED])
async def test_a_stream_to_an_old_client_has_no_chunks(relayed: list[bytes] | None) -> None:
    """HTTP/1.0 knows none: the words come bare, and the end of the connection is their end."""
    async with served({"fake-a": Behaviour(answer="a b", chunks=2, relayed=relayed)}) as one:
        ((head, body),) = await said(one, post(body=STREAMED, version="1.0"))
        assert b"transfer-encoding" not in head
        assert b"connection: close" in head
        assert body.startswith(b"data: {")
        assert body.endswith(b"data: [DONE]\n\n")
        assert relayed is None or body == b"".join(relayed)


async def test_a_stream_that_breaks_tells_an_old_client_so() -> None:
    """The end of the connection says nothing to it: the error is the last word."""
    async with served({"fake-a": Behaviour(answer="abcdef", chunks=6, die_after=3)}) as one:
        ((_, body),) = await said(one, post(body=STREAMED, version="1.0"))
        assert "died" in json.loads(body.splitlines()[-2][6:])["error"]["message"]


async def test_an_old_client_gets_whole_answers_and_probes_need_no_host(live: Stand) -> None:
    """A load balancer's probe names no host; no browser speaks HTTP/1.0. Since 1.1 a request has exactly one."""
    ((head, body),) = await said(live, post(version="1.0", host=False))
    assert (head[:13], json.loads(body)["object"]) == (b"http/1.1 200 ", "chat.completion")
    for wrong in (post(host=False), post("Host: localhost")):
        ((head, body),) = await said(live, wrong)
        assert (head[:13], json.loads(body)["error"]["code"]) == (b"http/1.1 400 ", "bad_http")


async def test_an_old_web_page_is_foreign_all_the_same(live: Stand) -> None:
    """Without a host no origin is our own."""
    ((head, _),) = await said(live, post("Origin: http://localhost", version="1.0", host=False))
    assert head.startswith(b"http/1.1 403 ")


@pytest.mark.parametrize(("body", "status", "words"), [
    (gzip.compress(BODY), 415, "Content-Encoding"),
    (b"\x28\xb5\x2f\xfd\xff\xfe", 415, "Content-Encoding"),
    (b"\x1b\xff", 400, "compressed"),
    (b"", 400, "is empty"),
    (b" \n", 400, "is empty"),
], ids=["gzip", "zstd", "other", "none", "blank"])  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
async def test_what_can_not_be_read_is_named(inside: Stand, path: str, body: bytes, status: int, words: str) -> None:
    """A compressed body, and none at all."""
    answer = await inside.http.post(path, content=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [
    ("POST", f"{CHAT}/"), ("POST", f"/{CHAT}"), ("POST", "/v1//chat/completions"), ("GET", "/v1/models/"),
    ("GET", "//api/tags"), ("GET", "/api/ps/"), ("GET", "/health/"), ("GET", f"{V1}/snapshot/"), ("GET", "//"),
    ("GET", "/v1/models/arbiter/chat/"),
])  # fmt: skip
async def test_a_slash_too_many_leads_nowhere_else(inside: Stand, method: str, path: str) -> None:
    """The same answer, and no redirect, which many clients follow without their body, or not at all."""
    url = str(inside.http.base_url).rstrip("/") + path
    assert (await inside.http.request(method, url, json=ASKED if method == "POST" else None)).status_code == 200


@pytest.mark.parametrize("path", [f"/{V1}/snapshot", f"{V1}//keys/", "//metrics"])
async def test_a_slash_too_many_opens_no_door(path: str) -> None:
    """A key for asking reaches neither control nor metrics, however they are written."""
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        _, token = await one.arbiter.keyring.create("app")
        url = str(one.http.base_url).rstrip("/") + path
        assert (await one.http.get(url)).status_code == 401
        assert (await one.http.get(url, headers={"x-api-key": token})).status_code == 403


@pytest.mark.parametrize("other", ["Basic dXNlcjpwdw==", "Bearer sk-of-somebody-else"])
async def test_a_key_is_found_beside_a_proxys(other: str) -> None:
    """Whatever else stands in the request, in either order; a wrong key of ours is wrong all the same."""
    async with stand(config={"server": ServerConfig(require_key=True)}) as one:
        _, token = await one.arbiter.keyring.create("app")
        pairs = [("authorization", other), ("x-api-key", token)]
        for headers in (pairs, pairs[::-1]):
            assert (await one.http.post(CHAT, json=ASKED, headers=headers)).status_code == 200
        wrong = [("authorization", other), ("x-api-key", token + "x")]
        assert (await one.http.post(CHAT, json=ASKED, headers=wrong)).status_code == 401


@pytest.fixture
async def listed() -> AsyncIterator[Stand]:
    async with stand(config={"server": ServerConfig(cors_origins=("https://chat.lan",))}) as one:
        yield one


async def test_a_listed_pages_client_may_send_its_own_fields(listed: Stand) -> None:
    """The official ones send fields of their own in a browser; a page out in the internet asks for its way in."""
    fields = "authorization,content-type,x-stainless-os,anthropic-version"
    asking: dict[str, Any] = {"origin": "https://chat.lan", "access-control-request-method": "POST"}
    answer = await listed.http.options(CHAT, headers={**asking, "access-control-request-headers": fields})
    assert answer.headers["access-control-allow-headers"] == fields
    assert "access-control-allow-private-network" not in answer.headers
    inward = await listed.http.options(CHAT, headers={**asking, "access-control-request-private-network": "true"})
    assert inward.headers["access-control-allow-private-network"] == "true"
    foreign = {**asking, "origin": "https://evil.example", "access-control-request-private-network": "true"}
    assert (await listed.http.options(CHAT, headers=foreign)).status_code == 403


@pytest.mark.parametrize(("path", "meant"), [
    ("/chat/completions", CHAT), ("/v1/v1/chat/completions", CHAT), ("/v1/api/chat", "/api/chat"),
    ("/messages", "/v1/messages"), ("/v1/v1/messages", "/v1/messages"), ("/models", "/v1/models"),
])  # fmt: skip
async def test_a_base_address_with_too_much_or_too_little_is_told_what_is_meant(
    inside: Stand, path: str, meant: str
) -> None:
    """404 with the path that there is; a path like none of ours gets no guess."""
    answer = await inside.http.post(path, json=ASKED)
    assert answer.status_code == 404
    assert f"did you mean {meant}?" in answer.text
    assert "did you mean" not in (await inside.http.post("/v1/images/generations", json={})).text


@pytest.mark.parametrize(("path", "body"), [
    (CHAT, ASKED), ("/v1/completions", {"model": "fake-a", "prompt": "hi"}),
    ("/v1/responses", {"model": "fake-a", "input": "hi"}), ("/v1/messages", {**ASKED, "max_tokens": 4}),
])  # fmt: skip
async def test_the_id_that_an_answer_shows_is_known(inside: Stand, path: str, body: dict[str, Any]) -> None:
    """Official clients hide headers: their users give that one back."""
    id = (await inside.http.post(path, json=body)).json()["id"]
    assert (await inside.http.post(f"{V1}/feedback", json={"request_id": id, "score": 1})).status_code == 200
    assert (await inside.http.get(f"{V1}/explain/{id}")).json()["kind"] == "request"


async def test_an_id_that_nobody_knows_is_told_where_one_is(inside: Stand) -> None:
    """404 with the header's name."""
    answer = await inside.http.post(f"{V1}/feedback", json={"request_id": "chatcmpl-x", "score": 1})
    assert answer.status_code == 404
    assert "X-Arbiter-Request-Id" in answer.json()["detail"]
