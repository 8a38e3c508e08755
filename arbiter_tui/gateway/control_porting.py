"""Export and import over the control API: long work, with progress, an estimate, and cancelling.

Owns: the calls, the archives that were made and not fetched yet. Never: what is in an archive (the engine says), a
path: bytes go out and come in over the wire alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from time import monotonic
from typing import Any

from ..config_server import LimitsConfig
from ..core.archive import WHAT
from ..core.snapshot import to_wire
from ..engine.arbiter import Arbiter
from ..engine.archive import PACKED
from ..errors import UnknownName
from .bodies import Field, invalid
from .calls import PREFIX, Ask, Call, Reply
from .control import operation_reply
from .control_writes import REFUSED_WITHIN_S, WAITED
from .limits import BodyLimit
from .operations import Operations

GZIP = "application/gzip"
LINES = "application/x-ndjson"
KEPT = 2  # archives that were made last
ARRIVES_WITHIN_S = 300.0


class Share:
    """How far it is, and by that how long it will take."""

    def __init__(self) -> None:
        self._began, self._share = monotonic(), 0.0

    def tell(self, share: float) -> None:
        self._share = max(self._share, share)

    def progress(self) -> tuple[float | None, float | None]:
        spent, share = monotonic() - self._began, self._share
        return share, spent / share * (1.0 - share) if share > 0.0 else None


class Porting:
    def __init__(self, arbiter: Arbiter, operations: Operations) -> None:
        self._arbiter = arbiter
        self._operations = operations
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def calls(self) -> list[Call]:
        limit = BodyLimit(LimitsConfig(body_bytes=PACKED, body_s=ARRIVES_WITHIN_S))
        return [
            Call(method="POST", path="/export", summary="Everything learnt as an archive: 202, then GET /export/{id}",
                 do=self.export, body={"what": Field("texts", help=f"only these: {', '.join(WHAT)}")}, query=WAITED),
            Call(method="GET", path="/export/{id}", summary="The archive that an export made: JSON lines, gzip",
                 do=self.fetch, media=GZIP),
            Call(method="POST", path="/import", summary="Take an archive in: all of it or nothing; twice is once",
                 do=self.take_in, raw=(GZIP, LINES, "application/octet-stream"), most=limit,
                 query={**WAITED, "dry_run": Field("flag", help="only say what would change")}),
        ]  # fmt: skip

    async def export(self, ask: Ask) -> Reply:
        what = ask.body.get("what")
        for word in what or ():
            if word not in WHAT:
                raise invalid("what", f"'what' must be some of {', '.join(WHAT)}, not {word[:64]!r}")
        share, ids = Share(), list[str]()

        async def run() -> Mapping[str, Any]:
            made = await self._arbiter.exports.run(what, share.tell)
            (id,) = ids
            self._made[id] = made.data
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
            return {**made.header, "bytes": len(made.data), "archive": f"{PREFIX}/export/{id}"}

        ids.append(self._operations.start("export", ", ".join(what or ["everything"]), run(), progress=share.progress))
        return await self._waited(ids[0], ask)

    async def fetch(self, ask: Ask) -> Reply:
        found = self._made.get(ask.path["id"])
        if found is None:
            raise UnknownName("export", ask.path["id"], self._made)
        name = b'attachment; filename="arbiter.jsonl.gz"'
        return Reply(found, headers=[(b"content-disposition", name)], kind=GZIP.encode())

    async def take_in(self, ask: Ask) -> Reply:
        share, dry = Share(), bool(ask.query.get("dry_run"))
        work = self._arbiter.imports.run(ask.body, dry_run=dry, tell=share.tell)
        title = f"{len(ask.body)} bytes" + (", only to see" if dry else "")
        return await self._waited(self._operations.start("import", title, work, progress=share.progress), ask)

    async def _waited(self, id: str, ask: Ask) -> Reply:
        """200 and the result if the client waits long enough; what is wrong at once is told either way."""
        wait = ask.query.get("wait", 0.0)
        result = await self._operations.outcome(id, wait or REFUSED_WITHIN_S)
        if result is None or not wait:
            return operation_reply(to_wire(self._operations.get(id)))
        return Reply(dict(result))
