"""What a request may reach: the tasks of its key, what the constitution allows; and what its answer takes of that key.

Owns: the check between a name and a version that depends on who asks, and how long who asks may
keep a model. Never: a key's secret (keyring.py), a route.

All of it is synchronous: nothing changes between the check and the lease.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.cost import Outcome
from ..core.registry import ModelVersion
from ..errors import Forbidden, UnknownName
from ..provider import Provider
from .answer import Answer
from .constitution import Constitution, forbidden
from .counting import tokens_of, tokens_sent
from .keyring import CALLER
from .live import Live, Target
from .pool import Pool


class Admission:
    def __init__(self, live: Live, providers: Mapping[str, Provider]) -> None:
        self._live = live
        self.constitution = Constitution(live, providers)
        live.forbids = self.constitution.forbids

    def resolve(self, name: str, task: str | None = None) -> Target:
        """As ``Live.resolve``, for whoever asks now: a key's default task serves what has no other name.

        Raises Forbidden where the key does not allow the task.
        """
        caller = CALLER.get()
        if caller is None:
            return self._live.resolve(name, task)
        key = caller.key
        try:
            target = self._live.resolve(name, task)
        except UnknownName:
            if task is not None or key.default_task is None:
                raise
            target = self._live.resolve(name, key.default_task)
        if key.tasks and target.task not in key.tasks:
            wanted = f"the task {target.task}" if target.task else "a version by its name"
            raise Forbidden(f"this key may not ask for {wanted}; its tasks: {', '.join(key.tasks)}")
        return target

    def shown(self) -> tuple[str, ...] | None:
        """The tasks that lists name for whoever asks now, and nothing else; None: all there is."""
        caller = CALLER.get()
        return None if caller is None or not caller.key.tasks else caller.key.tasks

    def lawful(self, target: Target, version: ModelVersion) -> ModelVersion:
        """``version``, or whoever serves the task where only that one may; asked as it is routed. Raises Forbidden."""
        found = self.constitution.forbids(target.task, version)
        if found is None:
            return version
        if target.named or version.version == target.version.version:
            raise forbidden(found)
        self.constitution.check(target.task, target.version)
        return target.version

    def ended(self, answer: Answer, outcome: Outcome) -> None:
        """What the answer took, both ways; a client that left before the end pays for what it was sent."""
        caller = CALLER.get()
        if caller is None or caller.tokens is None:
            return
        tokens_in = outcome.tokens_in if outcome.tokens_in is not None else tokens_sent(answer.request)
        caller.used(tokens_in + (outcome.tokens_out if outcome.tokens_out is not None else answer.pieces))

    def keep(self, pool: Pool, version: str, seconds: float) -> None:
        """A client's ``keep_alive``. A key that may only ask models can make one stay longer, never shorter."""
        if not _steers():
            view = pool.view(version)
            held = None if view is None else view.keep_s
            held = self._live.config.pool.idle_ttl_s if held is None else held
            if held is None or seconds < held:
                return
        pool.keep(version, seconds)

    def check_unload(self) -> None:
        """Others use the model, too: whoever may only ask models can't take one away. Raises Forbidden."""
        if not _steers():
            raise Forbidden("unloading a model needs a key with the scope control; this key's scope is infer")

    def embedded(self, texts: Sequence[str], tokens: int | None = None) -> None:
        """Embeddings were made of these; ``tokens``, where their runtime counted."""
        caller = CALLER.get()
        if caller is not None:
            caller.used(tokens_of(texts) if tokens is None else tokens)


def _steers() -> bool:
    caller = CALLER.get()
    return caller is None or caller.key.allows("control")
