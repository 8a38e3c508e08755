"""ModelVersion, Alias and their lifecycle: which models exist, under which names, in which state of life.

Owns: immutable identities and the pure operations on the table of them. Never: whether a version is loaded
(that is the pool's), which version serves a task (that is the route's), any file or socket.

Lifecycle, one direction only, except that a deprecated or archived version may be activated again::

    draft --activate--> active --deprecate--> deprecated --archive--> archived
                           ^---activate----------'-----------------------'
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from ..errors import Refused, UnknownName

VERSION_NAME = re.compile(r"^[A-Za-z0-9._-]{1,128}$")


class Lifecycle(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    ARCHIVED = "archived"


_MOVES: Mapping[Lifecycle, frozenset[Lifecycle]] = {
    Lifecycle.DRAFT: frozenset({Lifecycle.ACTIVE, Lifecycle.ARCHIVED}),
    Lifecycle.ACTIVE: frozenset({Lifecycle.DEPRECATED}),
    Lifecycle.DEPRECATED: frozenset({Lifecycle.ACTIVE, Lifecycle.ARCHIVED}),
    Lifecycle.ARCHIVED: frozenset({Lifecycle.ACTIVE}),  # time archives by itself: a person may want it back
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One immutable identity. Equal content on another provider or with other load options is another version.

    ``digest`` is ``sha256:<hex>`` of the content where it can be known; ``file_bytes`` and ``context`` (tokens) are
    ``None`` where unknown. ``source`` is a path, ``ollama:NAME``, or the runtime's own name.
    """

    version: str
    provider: str
    model: str
    source: str
    digest: str | None = None
    quantization: str | None = None
    family: str | None = None
    parameters: int | None = None
    file_bytes: int | None = None
    context: int | None = None
    parallel: int = 4
    capabilities: frozenset[str] = frozenset({"text-generation"})
    category: str | None = None  # fast / primary / quality / alternative
    hardware: str = "cpu"
    labels: tuple[str, ...] = ()
    licence: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    lifecycle: Lifecycle = Lifecycle.DRAFT
    pinned: bool = False
    created_at: float = 0.0

    def identity(self) -> tuple[object, ...]:
        """What makes two registrations 'the same content again'."""
        options = tuple(sorted((k, repr(v)) for k, v in self.options.items()))
        return (self.provider, self.digest or self.source, self.context, self.parallel, options)


@dataclass(frozen=True, slots=True)
class Registry:
    """The table of versions and aliases. Every operation returns a new table; nothing is ever forgotten."""

    versions: Mapping[str, ModelVersion] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def register(self, version: ModelVersion) -> tuple[Registry, ModelVersion]:
        """Add; the same content again returns the version that is already there (idempotent)."""
        if not VERSION_NAME.fullmatch(version.version):
            raise Refused(f"version name {version.version!r} must match {VERSION_NAME.pattern}")
        for known in self.versions.values():
            if known.identity() == version.identity():
                return self, known
        named = replace(version, version=self.free_name(version.version))
        return replace(self, versions={**self.versions, named.version: named}), named

    def free_name(self, wanted: str) -> str:
        """``wanted``, or ``wanted-2``, ``wanted-3`` … if taken: an update never replaces a version."""
        taken = self.versions.keys() | self.aliases.keys()
        name, n = wanted, 2
        while name in taken:
            name, n = f"{wanted}-{n}", n + 1
        return name

    def get(self, name: str) -> ModelVersion:
        """By version, then by alias. Raises UnknownName with the nearest names."""
        found = self.versions.get(name) or self.versions.get(self.aliases.get(name, ""))
        if found is None:
            raise UnknownName("model", name, [*self.versions, *self.aliases])
        return found

    def alias(self, alias: str, name: str) -> Registry:
        """Point ``alias`` at a version (movable). An alias may not hide a version's name."""
        if alias in self.versions or not VERSION_NAME.fullmatch(alias):
            raise Refused(f"{alias!r} can't be an alias: it is a version's name or not a valid name")
        return replace(self, aliases={**self.aliases, alias: self.get(name).version})

    def move(self, name: str, to: Lifecycle) -> Registry:
        """Change the lifecycle; a move that the diagram above does not have is Refused."""
        version = self.get(name)
        if version.lifecycle is to:
            return self
        if to not in _MOVES[version.lifecycle]:
            allowed = ", ".join(sorted(_MOVES[version.lifecycle])) or "nothing"
            raise Refused(f"{version.version} is {version.lifecycle}: it can become {allowed}, not {to}")
        return self._put(replace(version, lifecycle=to))

    def pin(self, name: str, pinned: bool) -> Registry:
        return self._put(replace(self.get(name), pinned=pinned))

    def _put(self, version: ModelVersion) -> Registry:
        return replace(self, versions={**self.versions, version.version: version})

    def query(
        self,
        *,
        capabilities: Iterable[str] = (),
        category: str | None = None,
        provider: str | None = None,
        hardware: str | None = None,
        lifecycle: Iterable[Lifecycle] | None = None,
    ) -> list[ModelVersion]:
        """Versions that have all of what is asked, in registration order."""
        needed, states = frozenset(capabilities), None if lifecycle is None else frozenset(lifecycle)
        return [
            v
            for v in self.versions.values()
            if needed <= v.capabilities
            and category in (None, v.category)
            and provider in (None, v.provider)
            and hardware in (None, v.hardware)
            and (states is None or v.lifecycle in states)
        ]
