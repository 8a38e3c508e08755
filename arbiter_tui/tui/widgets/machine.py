"""Region 3, machine: is it well, and what fills the pool. Owns: drawing readings and their curves. Never: reading
them.
"""

from __future__ import annotations

from ...core.snapshot import GpuView, Reading, Snapshot
from .. import format as fmt
from ..names import distinct
from ..state import share
from ..text import Line, Span, line, paragraphs, spread, width_of
from .hardware import whole
from .panel import Panel

NAME, VALUE = 6, 5  # cells of a meter's name and its figure
MOST_HELD = 3  # lines that say what fills the pool


class Machine(Panel):
    digit = 3
    name_ = "machine"

    def subject(self) -> Line:
        snapshot = self.view.snapshot
        return line((snapshot.hardware.backend, "unit")) if snapshot else ()

    def figure(self) -> Line:
        snapshot = self.view.snapshot
        if snapshot is None:
            return ()
        parts: list[Span] = []
        for name, value in [
            ("cpu", snapshot.hardware.cpu.value),
            *((f"gpu{g.index}", g.utilisation.value) for g in snapshot.hardware.gpus[:2]),
        ]:
            parts += [Span(f"  {name} " if parts else f"{name} ", "unit"), Span(fmt.percent(value), "figure")]
        return tuple(parts)

    def body(self, width: int, height: int) -> list[Line]:
        snapshot = self.view.snapshot
        if snapshot is None:
            return []
        hw = snapshot.hardware
        meters = [
            ("cpu", hw.cpu, cpu_note(snapshot)),
            ("ram", Reading(value=share(hw.ram_used_bytes.value, hw.ram_total_bytes.value)), ram_note(snapshot)),
        ]
        meters += [(f"gpu{g.index}", g.utilisation, gpu_note(g)) for g in hw.gpus]
        tail = pool_lines(snapshot, width)
        if not hw.gpus:
            tail = [*paragraphs(f"no GPU: {hw.gpu_why or 'none was found'}", width, "unit")[:2], *tail]
        rest = whole(hw, width)
        room = height - len(tail) - 2
        if room >= len(rest) + 3 * len(meters):  # a whole screen
            tail += [(), *rest]
        each = max(1, min(18, (height - len(tail) - 1) // len(meters)))
        longest = max(width_of(note) for _, _, note in meters)
        lines: list[Line] = []
        for name, reading, note in meters:
            lines += self._meter(name, reading, note, width, each, longest)
        gap = [()] if height > len(lines) + len(tail) else []
        return [*lines, *gap, *tail]

    def _meter(self, name: str, reading: Reading, note: Line, width: int, rows: int, longest: int) -> list[Line]:
        """One row: figure, short curve, note. More rows: figure and note above a curve as wide as the panel."""
        head: Line = (
            Span(f"{name:<{NAME}}", "label"),
            Span(f"{fmt.percent(reading.value):>{VALUE}}", "figure" if reading.value is not None else "unit"),
        )
        if reading.value is None and reading.why:
            note = line((reading.why, "unit"))
        values = self.view.history.of(name)
        if rows == 1:
            wide = max(8, min(24, width - NAME - VALUE - 4 - longest))
            return [line(*head, "  ", (fmt.curve(values, wide, 1)[0], "curve"), "  ", *note)]
        curve = fmt.curve(values, width - NAME, rows - 1)
        return [line(*head, "  ", *note), *(line(" " * NAME, (c, "curve")) for c in curve)]


def cpu_note(snapshot: Snapshot) -> Line:
    hw = snapshot.hardware
    parts = [fmt.plural(len(hw.cores), "core")] if hw.cores else []
    if hw.cpu_power_w.value is not None:
        parts.append(f"{hw.cpu_power_w.value:.0f} W")
    return line((" · ".join(parts), "unit"))


def ram_note(snapshot: Snapshot) -> Line:
    hw = snapshot.hardware
    used, total = fmt.size(hw.ram_used_bytes.value), fmt.size(hw.ram_total_bytes.value)
    swap = hw.swap_used_bytes.value
    return line(
        (used, "label"),
        (f" / {total}", "unit"),
        (f" · swap {fmt.size(swap)}" if swap and swap > 1 << 26 else "", "warn"),
    )


def gpu_note(gpu: GpuView) -> Line:
    memory = f"{fmt.size(gpu.memory_used_bytes.value).removesuffix(' G')}/{fmt.size(gpu.memory_total_bytes.value)}"
    heat = gpu.temperature_c.value
    parts: list[Span] = [Span("unified " if gpu.unified else "vram ", "unit"), Span(f"{memory:>11}", "label")]
    if gpu.power_w.value is not None:
        power = f"{'~' if gpu.power_w.estimated else ''}{gpu.power_w.value:.0f} W"
        parts.append(Span(f"  {power:>5}", "unit"))
    if heat is not None:
        parts.append(Span(f"  {'▲ ' if heat >= 85 else '  '}{heat:.0f} °C", "warn" if heat >= 85 else "unit"))
    return tuple(parts)


def pool_lines(snapshot: Snapshot, width: int) -> list[Line]:
    """The budget as a bar, and what fills it."""
    budget = snapshot.budget
    full = share(budget.used_bytes, budget.limit_bytes)
    room = max(8, min(40, width - NAME - VALUE - 22))
    done = fmt.bar(full, room).rstrip()
    token = "warn" if (full or 0) > 0.95 else "serve"
    head = line(
        (f"{'pool':<{NAME}}", "label"),
        (f"{fmt.percent(full):>{VALUE}}", "figure"),
        "  ",
        (done, token),
        ("·" * (room - len(done)), "track"),
        "  ",
        (fmt.size(budget.used_bytes), "label"),
        (f" / {fmt.size(budget.limit_bytes)}", "unit"),
    )
    loaded = sorted((m for m in snapshot.models if m.resident_bytes), key=lambda m: -(m.resident_bytes or 0))
    if not loaded:
        return [head]
    inset = NAME + VALUE + 2
    room = width - inset
    lines = []
    names = [m.version for m in loaded]
    for model in loaded[: MOST_HELD if len(loaded) <= MOST_HELD else MOST_HELD - 1]:
        figure = line((fmt.size(model.resident_bytes), "unit"))
        name = distinct(model.version, min(room, 40) - 8, names, "label")
        lines.append(line(" " * inset, *spread(name, figure, min(room, 40))))
    if len(loaded) > MOST_HELD:
        rest = sum(m.resident_bytes or 0 for m in loaded[MOST_HELD - 1 :])
        more = line((f"and {len(loaded) - MOST_HELD + 1} more", "unit"))
        lines.append(line(" " * inset, *spread(more, line((fmt.size(rest), "unit")), min(room, 40))))
    return [head, *lines]
