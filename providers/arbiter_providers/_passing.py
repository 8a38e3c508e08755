"""An answer in a dialect of its own (Ollama's, Anthropic's), passed on byte for byte to a client that speaks it, too.

Owns: that the bytes are the runtime's, and that they are read on their way: for what they took, for an error, for their
end. Never: a dialect, OpenAI's (whose answers have a faster way: _relay.py).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from arbiter_tui.errors import ProviderError, Unreachable
from arbiter_tui.provider import Done, Sink

from ._openai_runtime import Runtime, bounded
from ._streams import Reader
from ._upstream import LONGEST_S


async def passed(
    runtime: Runtime, path: str, body: Mapping[str, Any], reader: Reader, *, name: str,
    gone: Callable[[str], Exception], whole: Callable[[bytes], Done] | None = None,
) -> AsyncGenerator[bytes | Done, Sink | None]:  # fmt: skip
    """The answer's pieces as they come, then Done. ``whole`` reads one that is not streamed; ``gone`` makes the error
    of a server that went away. What it says of a failure is raised, before the piece that says so goes on. One that is
    not streamed is silent until all of it is made: how long that takes says nothing."""
    done: Done | None = None
    longest_s = None if whole is None else LONGEST_S
    try:
        async with runtime.request("POST", path, body, timeout_s=longest_s, patient=whole is not None) as response:
            if response.status != 200:
                raise await runtime.refusal(response, name=name)
            if whole is not None:
                data = await bounded(response)
                done = whole(data)
                yield data
            else:
                async for data in response.content.iter_any():
                    done = _read(reader, data) or done
                    yield data
    except Unreachable as error:
        raise gone(str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProviderError(f"{name}: the answer can't be read ({type(error).__name__})") from error
    if done is None:
        raise gone("its server ended the answer in the middle")
    yield done


def _read(reader: Reader, data: bytes) -> Done | None:
    """All of its chunks are made, for the last of them."""
    ends = [chunk for chunk in reader.feed(data) if isinstance(chunk, Done)]
    return ends[-1] if ends else None
