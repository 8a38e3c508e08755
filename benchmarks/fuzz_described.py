"""Cases made by schemathesis from the engine's own OpenAPI document: what it allows, and what it does not.

Owns: the way from a schema to bytes. Never: sends them. What would be granted and not end soon is left out, as in
fuzz_cases.py.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import requests
import schemathesis
from fuzz_cases import V1, Case
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from schemathesis.core import NOT_SET
from schemathesis.generation import GenerationMode

LEFT_OUT = (f"{V1}/engine/stop", f"{V1}/discover", f"{V1}/bench")
HERE = "http://127.0.0.1"


def from_document(document: dict[str, Any], seed: int, count: int) -> list[Case]:
    """About ``count`` cases, as many for each operation; half of them right by the document, half wrong."""
    found: list[Case] = []
    schema = schemathesis.openapi.from_dict(document)
    operations = [result.ok() for result in schema.get_all_operations()]
    operations = [o for o in operations if o.path not in LEFT_OUT]
    for operation in operations:
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            found += _of(operation, mode, seed, max(1, count // (2 * len(operations))))
    return found


def _of(operation: Any, mode: GenerationMode, seed: int, count: int) -> list[Case]:
    found: list[Case] = []

    @seeded(seed)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def collect(case: Any) -> None:
        if (made := _case(case)) is not None:
            found.append(made)

    try:
        collect()
    except Exception as error:  # an operation that can't be wrong has no wrong case
        if type(error).__name__ not in ("Unsatisfiable", "SkipTest"):
            raise
    return found


def _case(case: Any) -> Case | None:
    """As a client of ours would send it; None where HTTP has no form for it."""
    try:
        given = case.as_transport_kwargs(base_url=HERE)
        ready = requests.Request(
            given["method"], given["url"], params=given.get("params"), headers=dict(given.get("headers") or {}),
            json=None if given.get("json", NOT_SET) is NOT_SET else given["json"], data=given.get("data"),
        ).prepare()  # fmt: skip
    except (ValueError, requests.RequestException, UnicodeError):
        return None
    body = ready.body or b""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
    path, lines = _path(str(ready.url)), [f"host: {HERE[7:]}", f"content-length: {len(data)}"]
    skipped = ("host", "content-length", "transfer-encoding", "connection")
    lines += [f"{k}: {v}" for k, v in ready.headers.items() if k.lower() not in skipped]
    try:
        head = "\r\n".join([f"{ready.method} {path} HTTP/1.1", *lines]).encode("latin-1")
    except UnicodeEncodeError:
        return None
    return Case("described", str(ready.method), urlsplit(path).path, head + b"\r\n\r\n" + data)


def _path(url: str) -> str:
    """Path and query; no wait is long."""
    parts = urlsplit(url)
    pairs = [(k, "0" if k == "wait" else v) for k, v in parse_qsl(parts.query, keep_blank_values=True)]
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return path + (f"?{urlencode(pairs)}" if pairs else "")
