"""The way of an embedding that the dialects share: name -> engine -> vectors, and who made them.

Owns: that it waits, takes its place in line and is named as an answer is. Never: a dialect's fields or bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..engine.leasing import Late, patient
from ..engine.live import Target
from ..engine.requests import Embedded
from .exchange import Exchange
from .generation import DEADLINE, Generator, deadline_of, missed, set_priority
from .limits import header
from .problems import DeadlineMissed


async def embedded(
    generator: Generator,
    exchange: Exchange,
    name: str,
    texts: Sequence[str],
    keep_s: float | None,
    extra: Mapping[str, Any],
) -> tuple[Embedded, list[list[float]]]:
    """Raises what a lease and the model raise, and ModelLoading: a cold load is waited for as long as an answer's."""
    arbiter = generator.arbiter
    target = generator.target(exchange, name)
    set_priority(header(exchange.scope, b"x-arbiter-priority"))
    deadline_s = deadline_of(header(exchange.scope, DEADLINE))
    exchange.watch(streams=False)
    version = target.version.version
    try:
        async with patient(arbiter.pool, lambda: version, deadline_s):
            told, vectors = await _made(generator, name, target, texts, extra)
    except Late:
        raise DeadlineMissed(missed(name, deadline_s or 0.0)) from None
    if keep_s is not None:
        arbiter.admission.keep(arbiter.pool, told.version.version, keep_s)
    return told, vectors


async def _made(
    generator: Generator, name: str, target: Target, texts: Sequence[str], extra: Mapping[str, Any]
) -> tuple[Embedded, list[list[float]]]:
    version, task = target.version.version, target.task or None
    try:
        return await generator.arbiter.embed(version, texts, task, wait_s=generator.load_wait_s, extra=extra)
    except Late:
        raise generator.still_loading(name, version) from None


def counted(told: Embedded, texts: Sequence[str]) -> tuple[int, dict[str, bool]]:
    """The tokens that were read, and the mark of an estimate: four bytes are one where nobody counts them."""
    if told.tokens is not None:
        return told.tokens, {}
    return -(-sum(len(t.encode()) for t in texts) // 4), {"estimated": True}
