"""The control API's view of the past: what one version went through, what the machine did in the last ten minutes.

Owns: those GETs. Never: keeps a past (engine/chronicle.py does), wakes a model.
"""

from __future__ import annotations

from ..core.snapshot import to_wire
from ..engine.arbiter import Arbiter
from ..engine.chronicle import MACHINE_S, history_of
from .bodies import Field
from .calls import Ask, Call, Reply


class Histories:
    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter

    def calls(self) -> list[Call]:
        after = Field("number", low=0, help="only what was read after this time (unix seconds)")
        return [
            Call(method="GET", path="/models/{v}/history", do=self.model,
                 summary="One version's steps, changes and newest requests"),
            Call(method="GET", path="/hardware", do=self.hardware, query={"after": after},
                 summary="The machine: now, its last ten minutes, today's energy per task"),
        ]  # fmt: skip

    async def model(self, ask: Ask) -> Reply:
        return Reply(await history_of(self._arbiter, ask.path["v"]))

    async def hardware(self, ask: Ask) -> Reply:
        chronicle = self._arbiter.live.chronicle
        return Reply({
            "hardware": to_wire(self._arbiter.live.hardware),
            "kept_s": MACHINE_S,
            **chronicle.machine(ask.query.get("after", 0.0)),
            "spent": await chronicle.spent(self._arbiter),
        })  # fmt: skip
