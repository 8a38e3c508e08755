"""Names and origins: what a listed one opens, and that nothing else is opened by it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from gateway_cases import CHAT, V1, Stand, stand

from arbiter_tui.config import ServerConfig

PAGE = "https://chat.lan"
ASKED = {"model": "fake-a", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def listed() -> AsyncIterator[Stand]:
    """An engine that knows one web page and one more name of its own."""
    server = ServerConfig(hosts=("Box.lan",), cors_origins=(PAGE,))
    async with stand(config={"server": server}) as one:
        yield one


async def test_a_listed_page_may_ask_models_and_reads_who_answered(listed: Stand) -> None:
    """Its origin comes back, never a wildcard, and the decision headers are readable for it."""
    answer = await listed.http.post(CHAT, json=ASKED, headers={"origin": PAGE})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "origin"
    assert "x-arbiter-model" in answer.headers["access-control-expose-headers"]


async def test_a_listed_pages_preflight_is_answered_without_doing_anything(listed: Stand) -> None:
    """204 with what it may send; a stranger's preflight is 403."""
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    answer = await listed.http.options(CHAT, headers={"origin": PAGE, **asking})
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]
    stranger = await listed.http.options(CHAT, headers={"origin": "https://evil.example", **asking})
    assert stranger.status_code == 403
    assert "access-control-allow-origin" not in stranger.headers
    assert listed.provider.loads == []


@pytest.mark.parametrize("path", [f"{V1}/swaps", f"{V1}/keys", "/metrics", "/health"])
async def test_a_listed_page_reaches_no_more_than_models(listed: Stand, path: str) -> None:
    """Neither reading nor steering: the control API stays closed to every web page."""
    for method in ("GET", "POST", "OPTIONS"):
        answer = await listed.http.request(method, path, headers={"origin": PAGE})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["http://chat.lan", "https://chat.lan:444", "https://chat.lan.evil", "https://x.chat.lan"]
)
async def test_an_origin_is_compared_whole(listed: Stand, origin: str) -> None:
    """Scheme, name and port."""
    assert (await listed.http.post(CHAT, json=ASKED, headers={"origin": origin})).status_code == 403


async def test_a_listed_name_is_served_and_an_address_is_not_unless_exposed(listed: Stand) -> None:
    """On loopback an address of another interface is as foreign as before; case does not matter."""
    codes = {h: (await listed.http.get("/health", headers={"host": h})).status_code
             for h in ("box.lan:8017", "BOX.lan", "other.lan", "192.168.1.5:8017")}  # fmt: skip
    assert codes == {"box.lan:8017": 200, "BOX.lan": 200, "other.lan": 403, "192.168.1.5:8017": 403}


async def test_an_exposed_engine_answers_to_addresses_but_to_no_name_that_could_be_rebound() -> None:
    """Nobody can make a browser believe that an address is a name of theirs; every request needs a key."""
    async with stand(config={"server": ServerConfig(host="0.0.0.0", hosts=("box.lan",))}) as one:
        hosts = ("192.168.1.5:8017", "[fe80::1]:8017", "box.lan", "localhost", "evil.example", "0.0.0.0.evil.example")
        codes = [(await one.http.get("/health", headers={"host": h})).status_code for h in hosts]
        assert codes == [200, 200, 200, 200, 403, 403]
        assert (await one.http.post(CHAT, json=ASKED, headers={"host": "192.168.1.5"})).status_code == 401
        assert (await one.http.post(CHAT, json=ASKED)).status_code == 401
