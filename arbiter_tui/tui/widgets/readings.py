"""The whole machine's readings as lines, each with what it is, why it is unknown and how to get it. Pure.

Owns: names, order, words, the stacked bar of the models' budget. Never: reading a sensor, keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.snapshot import DiskView, GpuView, ModelView, Reading, Snapshot
from .. import format as fmt
from ..state import share
from ..text import Line, Span, clip, line, spread, version_name

NAME, BAR = 16, 24
SEGMENTS = "█▓▒░"  # neighbours in the stacked bar differ by their pattern, not by a colour
NUMBERS = "123456789abc"  # and each begins with the number that its model has below; those not listed have none
MOST_MODELS, MOST_PROCESSES = 12, 6
UNREAD = "not read on this machine"
HOW = {
    "cpu": "The load is known from the second reading on: one second after the engine's start.",
    "power": "Linux: sudo chmod a+r /sys/class/powercap/*/energy_uj, until the next boot. A virtual machine and many "
    "ARM machines have no such counter. macOS: brew install macmon.",
    "ane": "Only Apple silicon has a Neural Engine; there macmon (brew install macmon) tells its power.",
    "gpu": "NVIDIA: the driver, and pip install nvidia-ml-py. AMD: ROCm with its amdsmi package. macOS: nothing for "
    "the load, macmon for power and temperature. arbiter doctor says what it looked for.",
    "throttle": "The NVIDIA driver tells it through NVML; some devices and older drivers do not.",
    "processes": "The NVIDIA driver tells it outside of containers; in one, start it with --pid=host.",
    "disk": "The engine's user needs permission to look at the folder.",
    "energy": "The engine does not divide the machine's energy among requests. Whoever measures it reports it: POST "
    "/arbiter/v1/outcomes with energy_j.",
    "memory": "A model's memory is that of its worker process; a runtime that the arbiter did not start tells none.",
}


COUNTS = {
    "cpu": "The share of all cores' time that was used since the reading before, by models and all else.",
    "cores": "The share of each core's time that was used since the reading before.",
    "ram": "What programs hold of the memory and the system could not give away at once; files kept for speed are not "
    "counted.",
    "swap": "Memory that the system has moved to the disk. Models that are partly there answer many times slower.",
    "disk": "All files on the disk that this folder is on, not only the arbiter's.",
    "cpu-power": "What the processor's own counter says; the rest of the machine is not in it.",
    "ane": "The share of the Neural Engine's greatest power, as macmon tells it.",
}  # what a figure counts, for those who open it


@dataclass(frozen=True, slots=True)
class Row:
    """``key`` is its identity; ``why`` and ``how`` are shown on enter, and ``said`` the whole figure."""

    key: str
    lines: tuple[Line, ...]
    said: str = ""
    why: str | None = None
    how: str = ""


def rows(snapshot: Snapshot, spent: Sequence[Mapping[str, Any]], width: int) -> list[Row]:
    """Everything that is read of the machine, a heading where a row has no figure."""
    h = snapshot.hardware
    out = [_title("processor and memory", h.cpu_name)]
    out += [_meter("cpu", "processor", h.cpu, _of_cores(h.cores), HOW["cpu"], width), *_cores(h.cores, width)]
    out.append(_part("ram", "memory", h.ram_used_bytes, h.ram_total_bytes, "memory", width))
    out.append(_part("swap", "swap", h.swap_used_bytes, h.swap_total_bytes, "memory", width))
    out += [_disk(d, width) for d in h.disks]
    if h.battery.value is not None:
        kind = "in use" if h.on_battery else "on mains" if h.on_battery is False else ""
        out.append(_meter("battery", "battery", h.battery, kind, "", width))
    if h.cpu_throttle:
        held = "▲ held back: " + ", ".join(h.cpu_throttle)
        text = line((f"{'clocks':<{NAME}}", "label"), (fmt.shorten(held, width - NAME), "warn"))
        out.append(Row("cpu-clocks", (text,), held))
    out.append(_plain("cpu-power", "processor power", h.cpu_power_w, "W", HOW["power"], width))
    out.append(_meter("ane", "neural engine", h.ane, "", HOW["ane"], width))
    out.append(_title("graphics", "" if h.gpus else "none"))
    if not h.gpus:
        out.append(_unknown("gpu", "gpu", h.gpu_why or "none was found", HOW["gpu"], width))
    for gpu in h.gpus:
        out += _gpu(gpu, width)
    out += [_title("the models' memory", ""), *budget(snapshot, width)]
    return [*out, _title("energy today, by task", ""), *_spent(spent, width)]


def _title(text: str, more: str) -> Row:
    return Row("", ((), line((text, "head"), (f"  {more}" if more else "", "unit"))))


def _unknown(key: str, name: str, why: str, how: str, width: int) -> Row:
    """A dash, and the reason as far as there is room."""
    text = line(
        (f"{fmt.fit(name, NAME - 1):<{NAME}}", "label"),
        (f"{fmt.DASH:>8}", "unit"),
        (f"  {fmt.shorten(why, max(6, width - NAME - 12))}", "unit"),
    )
    return Row(key, (text,), "", why, how)


def _line(name: str, figure: str, part: float | None, note: str, width: int, token: str = "curve") -> Line:
    room = min(BAR, max(6, width - NAME - 34))
    done = fmt.bar(part, room).rstrip() if part is not None else ""
    track = ("·" * (room - len(done))) if part is not None else " " * room
    whole = line(
        (f"{fmt.fit(name, NAME - 1):<{NAME}}", "label"),
        (f"{figure:>8}  ", "figure"),
        (done, token),
        (track, "track"),
        (f"  {fmt.shorten(note, max(4, width - NAME - room - 12))}", "unit"),
    )
    return clip(whole, width)


def _meter(key: str, name: str, reading: Reading, note: str, how: str, width: int) -> Row:
    if reading.value is None:
        return _unknown(key, name, reading.why or UNREAD, how, width)
    figure = fmt.percent(reading.value)
    return Row(key, (_line(name, figure, reading.value, note, width),), counted(key, f"{figure} {note}"))


def _part(key: str, name: str, used: Reading, whole: Reading, how: str, width: int, what: str = "") -> Row:
    if used.value is None:
        return _unknown(key, name, used.why or UNREAD, HOW[how], width)
    part = share(used.value, whole.value)
    of = f"of {fmt.size(whole.value)}" if whole.value else "none is set up" if whole.value == 0 else ""
    note = f"{of}, {fmt.percent(part)}" if part is not None else of
    note += f" · {what}" if what else ""
    estimated = " (estimated)" if used.estimated else ""
    token = "warn" if part is not None and part > 0.95 else "curve"
    said = f"{fmt.size(used.value)} {note}{estimated}"
    if whole.value == 0:
        said = "None is set up: when the memory is full, programs are ended and nothing is moved to the disk"
    said = counted(key.partition(":")[0], said)
    return Row(key, (_line(name, fmt.size(used.value), part, note + estimated, width, token),), said)


def _plain(key: str, name: str, reading: Reading, unit: str, how: str, width: int) -> Row:
    if reading.value is None:
        return _unknown(key, name, reading.why or UNREAD, how, width)
    figure = f"{'~' if reading.estimated else ''}{reading.value:.0f} {unit}"
    text = _line(name, figure, None, "estimated" if reading.estimated else "", width)
    return Row(key, (text,), counted(key, figure))


def counted(key: str, said: str) -> str:
    """The figure, and what it counts."""
    more = COUNTS.get(key)
    return f"{said.strip()}. {more}" if more else said


def _of_cores(cores: Sequence[float]) -> str:
    return fmt.plural(len(cores), "core") if cores else ""


def _cores(cores: Sequence[float], width: int) -> list[Row]:
    """A column an eighth-block high for each core, many beside each other: 64 cores are two lines."""
    if not cores:
        return []
    per = max(8, min(32, (width - NAME - 2) // 2))
    lines = []
    for start in range(0, len(cores), per):
        part = cores[start : start + per]
        name = f"cores {start}–{start + len(part) - 1}"
        bars = "".join(f"{fmt.LOWER[min(8, max(0, round(c * 8)))]} " for c in part)
        lines.append(line((f"{name:<{NAME}}", "unit"), (bars, "curve")))
    said = ", ".join(f"core {i} {fmt.percent(c)}" for i, c in enumerate(cores))
    return [Row("cores", tuple(lines), counted("cores", said))]


def _disk(disk: DiskView, width: int) -> Row:
    row = _part(f"disk:{disk.path}", "disk", disk.used_bytes, disk.total_bytes, "disk", width, disk.what)
    used, whole = disk.used_bytes.value, disk.total_bytes.value
    free = f"{fmt.size(whole - used)} free, " if used is not None and whole is not None else ""
    return Row(row.key, row.lines, f"{row.said}, {free}{disk.path}" if row.said else "", row.why, row.how)


def _gpu(gpu: GpuView, width: int) -> list[Row]:
    n = f"gpu{gpu.index}"
    out = [
        _meter(f"{n}-load", n, gpu.utilisation, gpu.name, HOW["gpu"], width),
        _part(f"{n}-memory", f"{n} memory", gpu.memory_used_bytes, gpu.memory_total_bytes, "gpu", width),
        _plain(f"{n}-power", f"{n} power", gpu.power_w, "W", HOW["gpu"], width),
        _heat(gpu, width),
        _throttle(gpu, width),
    ]
    if gpu.energy_j.value is not None:
        said = energy(gpu.energy_j.value) + (" (estimated)" if gpu.energy_j.estimated else "")
        out.append(Row(f"{n}-energy", (_line(f"{n} energy", said, None, "since its driver was loaded", width),), said))
    return [*out, *_processes(gpu, width)]


def _heat(gpu: GpuView, width: int) -> Row:
    n, value = f"gpu{gpu.index}", gpu.temperature_c.value
    if value is None:
        return _unknown(f"{n}-heat", f"{n} heat", gpu.temperature_c.why or UNREAD, HOW["gpu"], width)
    hot = value >= 85
    figure = f"{'▲ ' if hot else ''}{value:.0f} °C"
    return Row(f"{n}-heat", (_line(f"{n} heat", figure, value / 100, "hot" if hot else "", width),), figure)


def _throttle(gpu: GpuView, width: int) -> Row:
    n = f"gpu{gpu.index}"
    if gpu.throttle:
        said = "▲ held back: " + ", ".join(gpu.throttle)
        text = line((f"{f'{n} clocks':<{NAME}}", "label"), (fmt.shorten(said, width - NAME), "warn"))
        return Row(f"{n}-clocks", (text,), said)
    if gpu.throttle_why is not None:
        return _unknown(f"{n}-clocks", f"{n} clocks", gpu.throttle_why, HOW["throttle"], width)
    return Row(
        f"{n}-clocks", (line((f"{f'{n} clocks':<{NAME}}", "label"), ("not held back", "unit")),), "not held back"
    )


def _processes(gpu: GpuView, width: int) -> list[Row]:
    """The GPU's memory by model; processes that are no model's by their number."""
    n = f"gpu{gpu.index}"
    if gpu.processes_why is not None:
        return [_unknown(f"{n}-by", f"{n} by model", gpu.processes_why, HOW["processes"], width)]
    out = []
    most = sorted(gpu.processes, key=lambda p: -(p.memory_bytes or 0))
    for p in most[:MOST_PROCESSES]:
        name = version_name(p.version, max(8, width - NAME - 12), "label") if p.version else line(f"process {p.pid}")
        figure = fmt.size(p.memory_bytes)
        text = line((f"{'':<{NAME}}", "unit"), (f"{figure:>8}  ", "figure"), *name)
        why = None if p.memory_bytes is not None else "the driver does not tell this process's memory"
        out.append(Row(f"{n}-pid{p.pid}", (text,), f"{figure} {p.version or ''} pid {p.pid}", why, HOW["processes"]))
    return out


def budget(snapshot: Snapshot, width: int) -> list[Row]:
    """The models' memory as one bar of the budget, a number and a pattern each, and whose they are."""
    used, limit = snapshot.budget.used_bytes, snapshot.budget.limit_bytes
    held = sorted((m for m in snapshot.models if m.resident_bytes), key=lambda m: (-(m.resident_bytes or 0), m.version))
    room = max(10, width - 2)
    whole = max(limit, sum(m.resident_bytes or 0 for m in held), 1)
    bar: list[Span] = []
    taken, total = 0, 0
    for i, m in enumerate(held):
        total += m.resident_bytes or 0
        cells = max(1, round(total / whole * room) - taken)
        cells = min(cells, room - taken)
        number = NUMBERS[i : i + 1] if cells else ""
        bar.append(Span(number, "figure"))
        bar.append(Span(SEGMENTS[i % len(SEGMENTS)] * (cells - len(number)), "serve" if i % 2 == 0 else "curve"))
        taken += cells
    bar.append(Span("·" * (room - taken), "track"))
    free = limit - used
    head = line(
        (fmt.size(used), "figure"), (f" of {fmt.size(limit)} in use", "label"),
        (f", {fmt.size(free)} free" if free >= 0 else f", ▲ {fmt.size(-free)} over", "unit" if free >= 0 else "warn"),
    )  # fmt: skip
    said = f"{fmt.size(used)} of {fmt.size(limit)}"
    out = [Row("budget", (head, tuple(s for s in bar if s.text)), said)]
    out += [_held(m, i, width) for i, m in enumerate(held[:MOST_MODELS])]
    if len(held) > MOST_MODELS:
        rest = sum(m.resident_bytes or 0 for m in held[MOST_MODELS:])
        more = line((f"  and {len(held) - MOST_MODELS} more", "unit"))
        out.append(Row("budget-rest", (spread(more, line((fmt.size(rest), "unit")), min(width, 60)),), fmt.size(rest)))
    unknown = [m for m in snapshot.models if m.state in ("ready", "draining") and m.resident_bytes is None]
    out += [_unknown(f"held:{m.version}", m.version, "its memory is not told", HOW["memory"], width) for m in unknown]
    return out


def _held(m: ModelView, i: int, width: int) -> Row:
    name = line((NUMBERS[i], "figure"), (f"{SEGMENTS[i % len(SEGMENTS)]} ", "serve" if i % 2 == 0 else "curve"))
    text = spread(
        line(*name, *version_name(m.version, max(8, min(width, 60) - 12), "label")),
        line((fmt.size(m.resident_bytes), "figure")),
        min(width, 60),
    )
    return Row(f"held:{m.version}", (text,), f"{m.version} {fmt.size(m.resident_bytes)}")


def _spent(spent: Sequence[Mapping[str, Any]], width: int) -> list[Row]:
    if not spent:
        return [Row("spent", (line(("no request today", "unit")),), "no request today")]
    out = []
    for s in spent:
        task, joules = str(s.get("task")), s.get("energy_j")
        count, measured = int(s.get("requests") or 0), int(s.get("measured") or 0)
        asked = fmt.plural(count, "request")
        if not isinstance(joules, (int, float)) or not measured:
            why = f"none of {asked} was measured"
            out.append(_unknown(f"spent:{task}", task, why, HOW["energy"], width))
            continue
        note = f"{asked}, {energy(joules / measured)} each" + (f", {measured} measured" if measured < count else "")
        out.append(Row(f"spent:{task}", (_line(task, energy(joules), None, note, width),), f"{energy(joules)}, {note}"))
    return out


def energy(joules: float) -> str:
    return fmt.joules(joules) if joules < 1000 else f"{joules / 1000:.1f} kJ"
