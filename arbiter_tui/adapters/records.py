"""Between the core's frozen records and the database's rows.

Owns: both directions, tolerant of what an older arbiter did not write and a newer one added. Never: touches a database.
Swaps and decisions are packed: what equals its default is left out, and the rest is compressed with a dictionary of
the words that every one of them has.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from operator import attrgetter
from typing import Any

from ..core.cost import Failure, Outcome
from ..core.registry import Lifecycle, ModelVersion
from ..core.routing import Route
from ..core.snapshot import SwapView, from_wire, to_wire

_WORDS = (
    b'"utility_low":"utility_high":"on_pareto_front":"p_best":"memory_bytes":"energy_j":"success_rate":"latency_p95_s":'
    b'"latency_p50_s":"quality_source":"quality":"samples":"incumbent":"challenger":"evidence":{"error":null,"estimated"'
    b'"trigger":"schedule""rollout""rollback""rolled_back""failed""running""done""manual""auto""degraded""better"'
    b'"would_change_if":""threshold":0."value":0."rule":"min_samples""cooldown""hold_until""compatibility""why":[{'
    b'},{"name":"warming","seconds":0.0},{"name":"probe","seconds":0.},{"name":"switch","seconds":0.'
    b'},{"name":"drain","seconds":0.},{"name":"load","seconds":0."phases":[{"name":"intent","seconds":0.'
    b'"id":""task":""from":""to":""trigger":"manual""result":"done""reason":""started_at":17"duration_s":0.'
)
OUTCOME_COLUMNS = tuple(f.name for f in fields(Outcome))


def dumps(value: Any) -> str:
    """Compact JSON; tuples and sets become lists."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} can't be stored")


def pack(value: Any) -> bytes:
    """JSON, compressed with the shared dictionary."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=_WORDS)
    return squeeze.compress(dumps(value).encode()) + squeeze.flush()


def unpack(data: bytes) -> Any:
    expand = zlib.decompressobj(-15, zdict=_WORDS)
    return json.loads(expand.decompress(data) + expand.flush())


def version_row(version: ModelVersion, position: int) -> tuple[str, int, str]:
    return version.version, position, dumps(asdict(version))


def version_from(data: str) -> ModelVersion:
    found = _known(ModelVersion, json.loads(data))
    found["capabilities"] = frozenset(found.get("capabilities", ("text-generation",)))
    found["labels"] = tuple(found.get("labels", ()))
    found["lifecycle"] = Lifecycle(found.get("lifecycle", Lifecycle.DRAFT))
    return ModelVersion(**found)


def route_data(route: Route) -> str:
    return dumps(asdict(route))


def route_from(data: str) -> Route:
    return Route(**_known(Route, json.loads(data)))


def swap_data(swap: SwapView) -> bytes:
    defaults = {
        "from" if f.name == "from_" else f.name: f.default for f in fields(SwapView) if f.default is not MISSING
    }
    wire = to_wire(swap)
    return pack({k: v for k, v in wire.items() if k not in defaults or v != _listed(defaults[k])})


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def swap_from(data: bytes) -> SwapView:
    return from_wire(SwapView, unpack(data))


outcome_row: Callable[[Outcome], tuple[Any, ...]] = attrgetter(*OUTCOME_COLUMNS)


def outcome_from(row: sqlite3.Row) -> Outcome:
    found = {name: row[name] for name in OUTCOME_COLUMNS}
    found["success"], found["tokens_estimated"] = bool(found["success"]), bool(found["tokens_estimated"])
    found["failure"] = None if found["failure"] is None else Failure(found["failure"])
    return Outcome(**found)


def _known(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(cls)}
    return {k: v for k, v in data.items() if k in names}
