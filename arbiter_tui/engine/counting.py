"""Tokens where nobody counted them.

Owns: the estimate, one for all who need it. Never: presents it as a count; whoever shows it marks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..provider import Request

BYTES_PER_TOKEN = 4  # of English text, about


def tokens_of(texts: Iterable[str]) -> int:
    """Four bytes are one token."""
    return -(-sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN)


def tokens_sent(request: Request) -> int:
    """All that the model reads: the prompt, the messages with their tool calls, the tools."""
    texts = [request.prompt or ""]
    for message in request.messages:
        texts.append(message.content)
        for call in message.tool_calls:
            texts += (call.name, call.arguments)
    if request.tools:
        texts.append(json.dumps(request.tools))
    return tokens_of(texts)
