"""Every version that the engine knows, whatever its stage of life. Owns: a version's row and the facts below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import format as fmt
from ..filter import matches
from ..names import distinct
from ..state import on_trial, serves
from ..text import Column, Line, Span, Table, line, paragraphs
from .view_list import ViewList

STAGES = {"active": ("● active", "serve"), "draft": ("○ draft", "label"), "deprecated": ("▽ deprecated", "warn"),
          "archived": ("· archived", "unit")}  # fmt: skip
ORDER = tuple(STAGES)


@dataclass(frozen=True, slots=True)
class Known:
    """One version as ``GET /models`` tells it; what is not known is None or empty."""

    version: str
    provider: str
    lifecycle: str
    pinned: bool
    data: Mapping[str, Any]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Known:
        return cls(
            fmt.visible(str(data.get("version", ""))), fmt.visible(str(data.get("provider") or "")),
            str(data.get("lifecycle") or "draft"), data.get("pinned") is True, data,
        )  # fmt: skip

    def text(self, name: str) -> str:
        """A field as text; a dash where it is not known."""
        value = self.data.get(name)
        if isinstance(value, (list, tuple)):
            return fmt.visible(", ".join(str(v) for v in value)) or fmt.DASH
        return fmt.visible(str(value)) if value not in (None, "") else fmt.DASH

    def size(self) -> str:
        value = self.data.get("file_bytes")
        return fmt.size(float(value)) if isinstance(value, (int, float)) else fmt.DASH

    @property
    def fields(self) -> dict[str, str]:
        names = ("version", "provider", "lifecycle", "model", "digest", "licence", "quantization", "family", "aliases")
        found = {n: self.text(n) for n in (*names, "labels", "source")}
        return found | {"state": self.lifecycle, "alias": found["aliases"]}


class RegistryTable(ViewList[Known]):
    name_ = "registry"
    FILTERS = True
    SORTS = ("life", "name", "provider", "size")

    def __init__(self, *args: Any, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.known: tuple[Known, ...] = ()

    def take(self, items: Sequence[Mapping[str, Any]]) -> None:
        self.known, self.loaded, self.trouble = tuple(Known.of(i) for i in items), True, None

    def items(self) -> Sequence[Known]:
        kept = [k for k in self.known if not self.wanted or matches(self.wanted, k.fields)]
        keys: dict[str, Any] = {
            "life": lambda k: (ORDER.index(k.lifecycle) if k.lifecycle in ORDER else 9,),
            "name": lambda k: (),
            "provider": lambda k: (k.provider,),
            "size": lambda k: (-(k.data.get("file_bytes") or 0),),
        }
        key = keys[self.sort or "life"]
        return sorted(kept, key=lambda k: (*key(k), k.version))

    def identity(self, item: Known) -> str:
        return item.version

    # drawing -------------------------------------------------------------------------------------------------------
    def figure(self) -> Line:
        shown = len(self.items())
        of = f" of {len(self.known)}" if shown < len(self.known) else " versions"
        return line((str(shown), "figure"), (of, "unit")) if self.known else ()

    def all_columns(self, width: int) -> list[Column[Known]]:
        return [
            Column("role", "", 1, self._role, align="left"),
            Column("name", "version", 0, self._named, align="left"),
            Column(
                "life", "life", 12, lambda k, w: (Span(*STAGES.get(k.lifecycle, (k.lifecycle, "label"))),), 0, "left"
            ),
            Column("provider", "provider", 13, lambda k, w: (Span(fmt.fit(k.provider, w), "label"),), 3, "left"),
            Column("size", "size", 6, lambda k, w: _figure(k.size())),
            Column("quant", "quant", 7, lambda k, w: (Span(fmt.fit(k.text("quantization"), w), "unit"),), 4, "left"),
            Column("licence", "licence", 12, lambda k, w: (Span(fmt.fit(k.text("licence"), w), "unit"),), 2, "left"),
            Column("digest", "digest", 12, self._digest, 1, "left"),
        ]

    def _named(self, item: Known, width: int) -> Line:
        """Every name in the same form: where one needs its provider shortened, all have it so."""
        return distinct(item.version, width, [k.version for k in self.known])

    def _role(self, item: Known, width: int) -> Line:
        snapshot = self.view.snapshot
        if snapshot is not None and serves(snapshot, item.version):
            return (Span("◆", "serve"),)
        if snapshot is not None and on_trial(snapshot, item.version):
            return (Span("◇", "trial"),)
        return (Span("⊙", "unit"),) if item.pinned else ()

    def _digest(self, item: Known, width: int) -> Line:
        return (Span(item.text("digest").removeprefix("sha256:")[:width], "unit"),)

    def _table(self, width: int) -> Table[Known]:
        return Table.choose(self.all_columns(width), width, flexible=26)

    def table_head(self, width: int) -> list[Line]:
        return [self._table(width).header(self.sort)]

    def item(self, item: Known, width: int, lines: int) -> list[Line]:
        return [self._table(width).row(item)]

    def below(self, item: Known, width: int, height: int) -> list[Line]:
        snapshot = self.view.snapshot
        served = fmt.list_of(serves(snapshot, item.version)) if snapshot is not None else ""
        about = [("source", item.text("source")), ("digest", item.text("digest")), ("licence", item.text("licence"))]
        about += [("can", item.text("capabilities")), ("aliases", item.text("aliases")), ("serves", served or fmt.DASH)]
        rows: list[Line] = []
        for name, told in about:
            first, *rest = fmt.wrap(told, max(10, width - 10))
            rows += [line((f"{name:<10}", "unit"), (first, "label")), *(line(" " * 10, (r, "label")) for r in rest)]
        return rows[:height]

    def empty(self, width: int) -> list[Line]:
        if not self.loaded:
            return self.waiting(width, "asking the engine which versions it knows …")
        said = "n registers a file by its path, d looks for what is installed or running on the engine's machine."
        return [line(), line(("Nothing is registered.", "figure")), line(), *paragraphs(said, width)]


def _figure(text: str) -> Line:
    number, space, unit = text.partition(" ")
    return line((number, "figure" if text != fmt.DASH else "unit"), (space + unit, "unit"))
