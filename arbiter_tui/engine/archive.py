"""An archive's bytes: JSON lines behind a header with their checksum, packed by gzip or not.

Owns: writing them, and reading them with bounds: no more than UNPACKED bytes in all and LONGEST a line, whatever a few
packed bytes claim to be. Never: a line's fields (core/archive.py), what a line means.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..core.access import masked
from ..core.archive import FORMAT, HEADER, LINES, VERSION, WHAT, amiss
from ..errors import ArchiveInvalid

PACKED = 64 * 2**20  # bytes of an archive on its way here
UNPACKED = 512 * 2**20
LONGEST = 256 * 2**10  # of a line: a profile, the longest, has 10 KB
PIECE = 64 * 2**10
MAGIC = b"\x1f\x8b"
_KINDS = frozenset(kind for several in WHAT.values() for kind in several)


@dataclass(slots=True)
class Read:
    """An archive on its way in. ``lines``: (number, kind, fields) of those that teach; ``skipped``: kinds unknown here.

    ``share`` of the bytes that are read."""

    header: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    share: float = 0.0


# ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def line(kind: str, fields: Mapping[str, Any]) -> bytes:
    """What is unknown (None) is left out of an outcome; a key that somebody wrote into a name is masked."""
    told = {k: v for k, v in fields.items() if v is not None} if kind == "outcome" else dict(fields)
    text = json.dumps({"kind": kind, **told}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return masked(text).encode("utf-8", "replace") + b"\n"


def written(header: Mapping[str, Any], body: Iterable[bytes], counts: Mapping[str, int]) -> bytes:
    """The whole, not packed."""
    rest = b"".join(body)
    told = {"format": FORMAT, "version": VERSION, **header, "counts": dict(counts)}
    return _json({**told, "sha256": hashlib.sha256(rest).hexdigest()}) + rest


def packed(data: bytes) -> bytes:
    """The same bytes give the same bytes: no time is kept."""
    return gzip.compress(data, compresslevel=6, mtime=0)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


# ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def reading(data: bytes, into: Read) -> Iterator[int]:
    """Fill ``into``, line by line; what is yielded is the number of the line. Raises ArchiveInvalid."""
    digest, number = hashlib.sha256(), 0
    for number, raw in _split(data, into):
        if number == 1:
            into.header = _header(raw)
            yield number
            continue
        digest.update(raw)
        _one(number, raw, into)
        yield number
    _check_end(number, digest.hexdigest(), into)


def _check_end(number: int, sha256: str, into: Read) -> None:
    if not into.header:
        raise ArchiveInvalid(f'the archive is empty: its first line must be a header with "format": "{FORMAT}"')
    promised = sum(into.header["counts"].values())
    if number - 1 < promised:
        raise ArchiveInvalid(
            f"the archive ends after line {number}, and its header tells of {promised} lines behind it: it was cut "
            "off on its way", details={"line": number},
        )  # fmt: skip
    if sha256 != into.header["sha256"]:
        raise ArchiveInvalid(
            f"header: sha256 must be that of all that follows, {sha256}, not {into.header['sha256']}: the archive was "
            "changed after it was made, or damaged on its way", details={"line": 1, "field": "sha256"},
        )  # fmt: skip


def _header(raw: bytes) -> dict[str, Any]:
    found = _object(1, raw)
    if found.get("format") != FORMAT:
        raise _at(1, "format", f'header: format must be "{FORMAT}", not {str(found.get("format"))[:40]!r}')
    version = found.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        maker = str(found.get("arbiter"))[:40]
        raise _at(1, "version", f"header: version must be at most {VERSION}, not {version}: a newer arbiter ({maker}) "
                                "made this archive; update arbiter here")  # fmt: skip
    if (sentence := HEADER(found, "")) is not None:
        raise _at(1, _field(sentence), f"header: {sentence}")
    return found


def _one(number: int, raw: bytes, into: Read) -> None:
    found = _object(number, raw)
    kind = found.get("kind")
    if not isinstance(kind, str):
        raise _at(number, "kind", f"line {number}: kind must be one of {', '.join(sorted(_KINDS))}")
    into.counts[kind] += 1
    if kind not in _KINDS:
        into.skipped[kind[:64]] += 1
    elif (sentence := amiss(kind, found)) is not None:
        raise _at(number, _field(sentence), f"line {number} ({kind}): {sentence}")
    elif kind in LINES:
        into.lines.append((number, kind, found))


def _at(number: int, name: str | None, message: str) -> ArchiveInvalid:
    return ArchiveInvalid(message, details={"line": number} | ({"field": name} if name else {}))


def _field(sentence: str) -> str:
    return sentence.split(" ", 1)[0]


def _object(number: int, raw: bytes) -> dict[str, Any]:
    """Strict JSON: UTF-8, no NaN, no Infinity, no number beyond all floats, no key twice."""
    where = "header" if number == 1 else f"line {number}"
    try:
        found = _STRICT.decode(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise _at(number, None, f"{where}: must be UTF-8 text, and is none") from None
    except RecursionError:
        raise _at(number, None, f"{where}: is nested too deeply") from None
    except _Odd as odd:
        raise _at(number, None, f"{where}: {odd}") from None
    except ValueError as error:
        cut = "" if raw.endswith(b"\n") else ", and the archive ends in the middle of it: it was cut off on its way"
        raise _at(number, None, f"{where}: must be a JSON object, and is none ({str(error)[:80]}){cut}") from None
    if not isinstance(found, dict):
        raise _at(number, None, f"{where}: must be a JSON object, not a {type(found).__name__}")
    return found


class _Odd(ValueError):
    """JSON that other readers would read otherwise."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise _Odd(f"the field {next(n for n in names if names.count(n) > 1)[:64]!r} stands there twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _Odd(f"{name} is no number: a finite number or null would be right")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Odd(f"{text[:32]} is larger than any number that can be stored")
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant, parse_float=_finite)


def _split(data: bytes, into: Read) -> Iterator[tuple[int, bytes]]:
    """(number, line with its end); the last one may have none."""
    rest, number = b"", 0
    for piece in _pieces(data, into):
        rest += piece
        *whole, rest = rest.split(b"\n")
        for one in whole:
            number += 1
            _check_length(number, one)
            yield number, one + b"\n"
        _check_length(number + 1, rest)
    if rest:
        yield number + 1, rest


def _check_length(number: int, one: bytes) -> None:
    if len(one) > LONGEST:
        raise _at(number, None, f"line {number}: must have at most {LONGEST // 1024} KiB, and is longer")


def _pieces(data: bytes, into: Read) -> Iterator[bytes]:
    total = 0
    for at, piece in _unpacked(data) if data.startswith(MAGIC) else _cut(data):
        total += len(piece)
        into.share = at / max(len(data), 1)
        if total > UNPACKED:
            raise ArchiveInvalid(
                f"the archive unpacks to more than {UNPACKED // 2**20} MiB: nothing that arbiter writes is so large; "
                "export less of it (--what)"
            )
        yield piece


def _cut(data: bytes) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(data), PIECE):
        yield start, data[start : start + PIECE]


def _unpacked(data: bytes) -> Iterator[tuple[int, bytes]]:
    """By pieces of at most PIECE bytes: what is too large is seen before it is made."""
    decoder = zlib.decompressobj(wbits=31)
    try:
        for at, piece in _cut(data):
            left, more = piece, True
            while more and not decoder.eof:
                made = decoder.decompress(left, PIECE)
                left = decoder.unconsumed_tail
                more = bool(left) or len(made) == PIECE  # a full one: there may be more of what was read already
                yield at, made
            if decoder.eof and (decoder.unused_data or at + len(piece) < len(data)):
                raise ArchiveInvalid("there is something behind the end of the packed archive: it was changed")
    except zlib.error as error:
        raise ArchiveInvalid(f"the archive can't be unpacked: it was damaged on its way ({error})") from None
    if not decoder.eof:
        raise ArchiveInvalid("the packed archive ends in the middle: it was cut off on its way")
