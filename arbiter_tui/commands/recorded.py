"""Recorded outcomes: the rows of a file, and what may stand in a cell.

Owns: reading CSV or JSONL (.gz or not), and errors that name the file, the row and the column. Never: what a row means.
Columns beyond those that are needed are left alone.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ConfigError

Row = Mapping[str, Any]


def share(value: Any, where: str) -> float:
    """A quality. Raises ConfigError."""
    found = number(value, where)
    if found is None or not 0.0 <= found <= 1.0:
        raise ConfigError(f"{where} is {value!r}: a quality is a number from 0 to 1")
    return found


def seconds(value: Any, where: str) -> float | None:
    """None where it is not told. Raises ConfigError."""
    found = number(value, where)
    if found is not None and found < 0.0:
        raise ConfigError(f"{where} is {value!r}: seconds can't be negative")
    return found


def amount(value: Any, where: str) -> float | None:
    """None where it is not told. Raises ConfigError."""
    found = number(value, where)
    if found is not None and found < 0.0:
        raise ConfigError(f"{where} is {value!r}: it can't be negative")
    return found


def moment(value: Any, where: str) -> float | None:
    """Seconds of any clock, or a date and time as ISO 8601 writes them (UTC where no zone is told); None where it is
    not told. Raises ConfigError."""
    try:
        return number(value, where)
    except ConfigError:
        try:
            found = datetime.fromisoformat(str(value).strip())
        except ValueError:
            raise ConfigError(f"{where} is {value!r}: seconds, or a time like 2026-01-31T12:00:00") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def clock(moments: Sequence[float | None], file: str) -> list[float] | None:
    """Seconds since the first of them; None where no row tells its moment. Raises ConfigError."""
    known = [at for at in moments if at is not None]
    if known and len(known) < len(moments):
        raise ConfigError(
            f"{file}: column at is filled in {len(known)} of {len(moments)} rows: in all of them, or in none"
        )
    return [at - min(known) for at in known] if known else None


def count(value: Any, where: str) -> int | None:
    """None where it is not told. Raises ConfigError."""
    found = number(value, where)
    if found is not None and (found < 0.0 or found != int(found)):
        raise ConfigError(f"{where} is {value!r}: a whole number from 0 on is needed")
    return None if found is None else int(found)


def number(value: Any, where: str) -> float | None:
    """None where nothing is told. Raises ConfigError."""
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where} is {value!r}, not a number") from None
    if not math.isfinite(found):
        raise ConfigError(f"{where} is {value!r}, not a finite number")
    return found


def yes(value: Any, where: str) -> bool:
    """1, 0, true, false; nothing told is yes. Raises ConfigError."""
    known = {"": True, "1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    text = "" if value is None else str(value).strip().lower().removesuffix(".0")
    if text not in known:
        raise ConfigError(f"{where} is {value!r}: 1 or 0, true or false")
    return known[text]


def read_rows(name: str, needed: Sequence[str], *, gaps: bool = False) -> Iterator[tuple[str, Row]]:
    """(place, row) of a CSV or JSONL file, .gz or not; further columns are left alone. ``gaps``: a needed column must
    be there, its cells may be empty. Raises ConfigError."""
    path = Path(name)
    try:
        opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            count = 0
            for number, row in _rows(file, path):
                missing = [column for column in needed if _missing(row, column, gaps)]
                if missing:
                    raise ConfigError(f"{path}, row {number}: no {', '.join(missing)}; it has {', '.join(row)}")
                count += 1
                yield f"{path}, row {number}", row
    except (OSError, UnicodeDecodeError, EOFError, zlib.error, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path} can't be read: {reason}") from error
    if not count:
        raise ConfigError(f"{path} has no rows; columns {', '.join(needed)} are needed")


def _missing(row: Row, column: str, gaps: bool) -> bool:
    return column not in row if gaps else row.get(column) in (None, "")


def _rows(file: Any, path: Path) -> Iterator[tuple[int, Row]]:
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    if plain.suffix not in (".jsonl", ".ndjson"):
        yield from ((n, row) for n, row in enumerate(csv.DictReader(file), start=2))
        return
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, row {number}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise ConfigError(f"{path}, row {number}: not an object")
        yield number, row
