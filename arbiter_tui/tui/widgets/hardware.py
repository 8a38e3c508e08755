"""The rest of the machine, where a whole screen is there for it: cores, swap, power, and why something is not read.

Owns: those lines. Never: reading a sensor.
"""

from __future__ import annotations

from ...core.snapshot import HardwareView, Reading
from .. import format as fmt
from ..text import Line, Span, line

NAME, VALUE, BAR = 6, 5, 16


def whole(hw: HardwareView, width: int) -> list[Line]:
    """Everything that the usual region has no room for."""
    lines = [*_cores(hw, width), *_figures(hw, width)]
    return [line(("this machine", "head"), (f"  {hw.cpu_name}" if hw.cpu_name else "", "label")), *lines]


def _cores(hw: HardwareView, width: int) -> list[Line]:
    """A short bar a core, as many beside each other as fit."""
    each = NAME + VALUE + 2 + BAR + 3
    beside = max(1, (width + 3) // each)
    lines: list[Line] = []
    for start in range(0, len(hw.cores), beside):
        spans: list[Span] = []
        for i, busy in enumerate(hw.cores[start : start + beside], start):
            done = fmt.bar(busy, BAR).rstrip()
            spans += [
                Span(f"{f'core{i}':<{NAME}}", "label"),
                Span(f"{fmt.percent(busy):>{VALUE}}  ", "figure"),
                Span(done, "curve"),
                Span("·" * (BAR - len(done)) + "   ", "track"),
            ]
        lines.append(tuple(s for s in spans if s.text))
    return lines


def _figures(hw: HardwareView, width: int) -> list[Line]:
    """One reading a line: its figure, or a dash and why there is none."""
    rows = [
        ("swap in use", hw.swap_used_bytes, fmt.size(hw.swap_used_bytes.value)),
        ("cpu power", hw.cpu_power_w, _unit(hw.cpu_power_w, "W")),
        ("neural engine", hw.ane, fmt.percent(hw.ane.value)),
    ]
    for gpu in hw.gpus:
        about = f"gpu{gpu.index}"
        rows.append((f"{about} power", gpu.power_w, _unit(gpu.power_w, "W")))
        rows.append((f"{about} heat", gpu.temperature_c, _unit(gpu.temperature_c, "°C")))
        rows.append((f"{about} energy", gpu.energy_j, fmt.joules(gpu.energy_j.value)))
    lines = []
    for name, reading, figure in rows:
        why = reading.why or "not read on this machine"
        said = "estimated" if reading.estimated else "" if reading.value is not None else why
        token = "figure" if reading.value is not None else "unit"
        lines.append(
            line((f"{name:<14}", "label"), (f"{figure:>9}", token), (f"  {fmt.shorten(said, width - 26)}", "unit"))
        )
    return lines


def _unit(reading: Reading, unit: str) -> str:
    return fmt.DASH if reading.value is None else f"{reading.value:.0f} {unit}"
