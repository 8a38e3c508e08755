"""A body posted to somebody else's server, for webhooks.

Owns: the client and its time limit; no redirect is followed, no answer is read, no proxy of the environment is used.
Never: what is sent, a second try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

WITHIN_S = 10.0


class Poster:
    """``post`` raises OSError or TimeoutError when nobody answers. Made on the first use, closed by ``close``."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer."""
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=WITHIN_S), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return int(answer.status)
        except (aiohttp.ClientError, ValueError) as error:
            raise ConnectionError(type(error).__name__) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
