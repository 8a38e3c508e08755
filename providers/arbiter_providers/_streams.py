"""One streamed answer of an HTTP runtime: its bytes through a reader of its dialect, to our chunks.

Owns: the end of an answer, whichever way it comes, as exactly one Done or one typed error. Never: a dialect.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from typing import Any, Protocol

from arbiter_tui.errors import ProviderError, Unreachable
from arbiter_tui.provider import Chunk, Done

from ._openai_runtime import Runtime


class Reader(Protocol):
    def feed(self, data: bytes) -> Iterator[Chunk]: ...


async def chunks(
    runtime: Runtime, path: str, body: Mapping[str, Any], reader: Reader, *, name: str,
    gone: Callable[[str], ProviderError],
) -> AsyncGenerator[Chunk, None]:  # fmt: skip
    """Everything up to Done. ``gone`` makes the error of a server that went away before it."""
    try:
        async with runtime.request("POST", path, body) as response:
            if response.status != 200:
                raise await runtime.refusal(response, name=name)
            async for data in response.content.iter_any():
                for chunk in reader.feed(data):
                    yield chunk
                    if isinstance(chunk, Done):
                        return
    except Unreachable as error:
        raise gone(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProviderError(f"{name}: the answer can't be read ({type(error).__name__})") from error
    raise gone("its server ended the answer in the middle")
