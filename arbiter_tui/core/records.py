"""Records that are made for every request: frozen for the type checker, quick at run time.

Owns: ``record``, which reads as ``dataclass(frozen=True, slots=True, ...)``. Never: another meaning than dataclass has.

A frozen dataclass sets each of its fields by a call of ``object.__setattr__``: an Outcome of 21 fields takes 2.6 us to
make, unfrozen .5 us. Nobody may assign to one all the same, and mypy refuses it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen: bool, **given: Any) -> Callable[[type], type]:
        """As ``dataclass``; equal records have equal hashes, as frozen ones do."""
        return dataclass(unsafe_hash=frozen and given.get("eq", True), **given)


__all__ = ["record"]
