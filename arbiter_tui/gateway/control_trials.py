"""The control API's calls for rollouts and for swaps at a later time.

Owns: their bodies and answers. Never: a rule, a decision (engine/rollouts.py, engine/schedule.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..core.moments import FORMS, moment
from ..core.snapshot import to_wire
from ..engine.arbiter import Arbiter
from .bodies import invalid
from .calls import Ask, Call, Reply

_ORDERS = {
    "pause": "Keep its share as it is",
    "resume": "Let it climb again",
    "abort": "Take the new version back",
    "promote": "Let the new version serve everybody now",
}


class Trials:
    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter

    def calls(self) -> list[Call]:
        cancel = Call(
            method="DELETE", path="/swaps/{id}", summary="Take a swap back before its switch", do=self.cancel,
            answer="SwapView",
        )  # fmt: skip
        return [*(self._order(name) for name in _ORDERS), cancel]

    async def cancel(self, ask: Ask) -> Reply:
        return Reply(to_wire(await self._arbiter.swapper.cancel(ask.path["id"])))

    def _order(self, name: str) -> Call:
        async def do(ask: Ask) -> Reply:
            return Reply(to_wire(await getattr(self._arbiter.rollouts, name)(ask.path["id"])))

        return Call(method="POST", path=f"/rollouts/{{id}}/{name}", summary=_ORDERS[name], do=do, body={},
                    answer="RolloutView")  # fmt: skip

    async def swap(self, body: Mapping[str, Any]) -> Reply | None:
        """``mode: canary`` and ``at``; None where it is an ordinary swap."""
        canary, strict = body.get("mode") == "canary", bool(body.get("strict"))
        if "at" not in body or body["at"] is None:
            return await self._canary(body, strict) if canary else None
        at = self._at(body["at"])
        if body.get("dry_run"):
            return None if not canary else await self._canary(body, strict)
        view = await self._arbiter.schedule.add(
            body["task"], body["to"], at=at.timestamp(), when=at.strftime("%a %d %b %H:%M:%S"), canary=canary,
            strict=strict, reason=body.get("reason", ""),
        )  # fmt: skip
        return Reply(to_wire(view), status=202)

    async def _canary(self, body: Mapping[str, Any], strict: bool) -> Reply:
        rollouts = self._arbiter.rollouts
        if body.get("dry_run"):
            return Reply({**to_wire(rollouts.foresee(body["task"], body["to"], strict=strict)), "dry_run": True})
        return Reply(to_wire(await rollouts.start(body["task"], body["to"], strict=strict)), status=202)

    def _at(self, told: Any) -> datetime:
        now = datetime.fromtimestamp(self._arbiter.clock.now()).astimezone()
        if isinstance(told, bool) or not isinstance(told, int | float | str):
            raise invalid("at", f"must be a time: {FORMS}")
        try:
            return moment(str(told), now)
        except ValueError as error:
            raise invalid("at", str(error)) from None
