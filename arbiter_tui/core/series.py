"""Series: the newest values of something measured, in one or two bytes each.

Owns: how numbers are packed, and reading them back as sequences. Never: what they mean.

Brief: numbers of any sign and size in eight significant bits, right to .4%; zero, halves, quarters and whole numbers up
to 256 are exact. Logs: small numbers of any sign, up to FAR, in steps of 1/256. Shares: numbers in 0..1 (what lies
outside is cut) in steps of 1/240, so that halves, thirds, quarters, fifths, sixths, eighths and tenths are exact.
Grades: shares with the source of each. Codes: whole numbers below 65,536. All are values: keeping more gives another
one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, overload

LARGEST = 3e38
PARTS, FAR = 256, 127.0
STEPS = 240
_SPLIT = 2.0**45 + 1.0  # v c - (v c - v) is v rounded to 53 - 45 bits (Veltkamp 1968)


class _Planes(Sequence[float]):
    """``high`` and ``low``: two bytes of each value, apart, for so they compress."""

    __slots__ = ("high", "low")

    def __init__(self, high: bytes = b"", low: bytes = b"") -> None:
        self.high, self.low = high, low

    @staticmethod
    def _halves(values: Sequence[float]) -> tuple[bytes, bytes]:
        raise NotImplementedError

    def values(self) -> Sequence[float]:
        raise NotImplementedError

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        return values if isinstance(values, cls) else cls(*cls._halves(list(values)))

    def keep(self, more: Sequence[float], most: int) -> Self:
        """With ``more`` behind them, the newest ``most`` of all."""
        high, low = self._halves(more[-most:])
        return type(self)((self.high + high)[-most:], (self.low + low)[-most:])

    def __len__(self) -> int:
        return len(self.low)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values())

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> Self: ...
    def __getitem__(self, at: int | slice) -> float | Self:
        return type(self)(self.high[at], self.low[at]) if isinstance(at, slice) else self.values()[at]

    def __eq__(self, other: object) -> bool:
        """Also to a tuple or list of which it is what can be kept."""
        if isinstance(other, _Planes):
            return type(self) is type(other) and (self.high, self.low) == (other.high, other.low)
        return isinstance(other, tuple | list) and (self.high, self.low) == self._halves(other)

    def __hash__(self) -> int:
        return hash((self.high, self.low))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.high, self.low)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)})"


class Brief(_Planes):
    """As the upper half of a single-precision float."""

    __slots__ = ()

    @staticmethod
    def _halves(values: Sequence[float]) -> tuple[bytes, bytes]:
        values = _within(values, LARGEST)
        whole = struct.pack(f"<{len(values)}f", *[(big := value * _SPLIT) - (big - value) for value in values])
        return whole[3::4], whole[2::4]

    def values(self) -> Sequence[float]:
        whole = bytearray(4 * len(self.low))
        whole[2::4], whole[3::4] = self.low, self.high
        return struct.unpack(f"<{len(self.low)}f", whole)


class Logs(_Planes):
    """As whole multiples of 1/256."""

    __slots__ = ()

    @staticmethod
    def _halves(values: Sequence[float]) -> tuple[bytes, bytes]:
        whole = struct.pack(f"<{len(values)}h", *[round(PARTS * value) for value in _within(values, FAR)])
        return whole[1::2], whole[::2]

    def values(self) -> Sequence[float]:
        whole = bytearray(2 * len(self.low))
        whole[::2], whole[1::2] = self.low, self.high
        return [part / PARTS for part in struct.unpack(f"<{len(self.low)}h", whole)]


class Codes(_Planes):
    """Whole numbers in 0..65535: of whatever has such a number, not to be counted with."""

    __slots__ = ()

    @staticmethod
    def _halves(values: Sequence[float]) -> tuple[bytes, bytes]:
        whole = struct.pack(f"<{len(values)}H", *[int(value) for value in values])
        return whole[1::2], whole[::2]

    def values(self) -> Sequence[float]:
        whole = bytearray(2 * len(self.low))
        whole[::2], whole[1::2] = self.low, self.high
        return struct.unpack(f"<{len(self.low)}H", whole)


def _within(values: Sequence[float], most: float) -> Sequence[float]:
    if values and (max(values) > most or min(values) < -most):
        return [min(most, max(-most, value)) for value in values]
    return values


class Shares(Sequence[float]):
    """``codes``: 240 times each, as bytes."""

    __slots__ = ("codes",)

    def __init__(self, codes: bytes = b"") -> None:
        self.codes = codes

    @classmethod
    def of(cls, values: Iterable[float]) -> Shares:
        return values if isinstance(values, cls) else cls(_codes(list(values)))

    def keep(self, more: Sequence[float], most: int) -> Shares:
        """With ``more`` behind them, the newest ``most`` of all."""
        return Shares((self.codes + _codes(more[-most:]))[-most:])

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[float]:
        return iter([_SHARES[code] for code in self.codes])

    @overload
    def __getitem__(self, at: int) -> float: ...
    @overload
    def __getitem__(self, at: slice) -> Shares: ...
    def __getitem__(self, at: int | slice) -> float | Shares:
        return Shares(self.codes[at]) if isinstance(at, slice) else _SHARES[self.codes[at]]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Shares):
            return self.codes == other.codes
        return isinstance(other, tuple | list) and self.codes == _codes(other)

    def __hash__(self) -> int:
        return hash(self.codes)

    def __reduce__(self) -> tuple[Any, ...]:
        return Shares, (self.codes,)

    def __repr__(self) -> str:
        return f"Shares({list(self)})"


_SHARES = tuple(code / STEPS for code in range(STEPS + 1))


def _codes(values: Sequence[float]) -> bytes:
    if values and (max(values) > 1.0 or min(values) < 0.0):
        values = [min(1.0, max(0.0, value)) for value in values]
    return bytes([int(STEPS * value + 0.5) for value in values])


class Grades(Sequence[tuple[float, str]]):
    """Shares and who gave them: ``sources`` holds a place in ``names`` for each."""

    __slots__ = ("names", "shares", "sources")

    def __init__(self, shares: bytes = b"", sources: bytes = b"", names: tuple[str, ...] = ()) -> None:
        self.shares, self.sources, self.names = shares, sources, names

    def keep(self, shares: Sequence[float], sources: Sequence[str], most: int) -> Grades:
        """With these behind them, the newest ``most`` (at most 255) of all; names that nothing has any more go."""
        shares, sources = shares[-most:], sources[-most:]
        old = self.sources[max(0, len(self.sources) + len(sources) - most) :]
        names = self.names
        fresh = set(sources).difference(names)
        if fresh:
            before = [names[place] for place in old]
            names = tuple(sorted({*before, *sources}))
            old = bytes([names.index(name) for name in before])
        places = {name: place for place, name in enumerate(names)}
        given = bytes([places[name] for name in sources])
        return Grades((self.shares + _codes(shares))[-most:], old + given, names)

    def regraded(self, at: int, share: float) -> Grades:
        """With another share in the place ``at``, by the same source."""
        return Grades(self.shares[:at] + _codes([share]) + self.shares[at + 1 :], self.sources, self.names)

    def __len__(self) -> int:
        return len(self.shares)

    def __iter__(self) -> Iterator[tuple[float, str]]:
        names = self.names
        return ((_SHARES[code], names[place]) for code, place in zip(self.shares, self.sources, strict=True))

    @overload
    def __getitem__(self, at: int) -> tuple[float, str]: ...
    @overload
    def __getitem__(self, at: slice) -> Grades: ...
    def __getitem__(self, at: int | slice) -> tuple[float, str] | Grades:
        if isinstance(at, slice):
            return Grades(self.shares[at], self.sources[at], self.names)
        return _SHARES[self.shares[at]], self.names[self.sources[at]]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Grades):
            return self.shares == other.shares and list(self) == list(other)
        return isinstance(other, tuple | list) and list(self) == [
            (_SHARES[_codes([grade])[0]], name) for grade, name in other
        ]

    def __hash__(self) -> int:
        return hash(self.shares)

    def __reduce__(self) -> tuple[Any, ...]:
        return Grades, (self.shares, self.sources, self.names)

    def __repr__(self) -> str:
        return f"Grades({list(self)})"
