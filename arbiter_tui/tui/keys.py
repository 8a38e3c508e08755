"""Every key of the cockpit, once: the footer, the help and the palette are drawn from this table.

Owns: names, words and where an action applies. Never: what it does (screens/main.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import ConfigError, nearest

_NAMED = {"?": "question_mark", "/": "slash", " ": "space", "return": "enter"}
SIGNS = {"enter": "⏎", "question_mark": "?", "slash": "/", "space": "␣"}


@dataclass(frozen=True, slots=True)
class Action:
    """``id`` is the action's and the keymap's name; ``writes`` needs control of the engine (hidden when read-only)."""

    id: str
    key: str
    word: str
    sentence: str
    group: str
    shown: str = ""
    writes: bool = False


def binding_id(action: str) -> str:
    """The action's name in the keymap of the configuration: ``region(1)`` is ``region-1``."""
    return action.replace("(", "-").replace(")", "").replace("--", "-back-")


def shown(action: Action, keymap: Mapping[str, str]) -> str:
    """The key that sets it off now: as the keymap has it, else its own."""
    wanted = keymap.get(binding_id(action.id))
    if wanted is None:
        return action.shown
    named = (key.strip().replace("ctrl+", "^") for key in wanted.split(","))
    return " ".join(SIGNS.get(key, key) for key in named)


def check(keymap: Mapping[str, str], where: str) -> None:
    """Raises ConfigError for an action that does not exist, and for two actions on one key, each by its name."""
    known = {binding_id(a.id): a for a in ACTIONS}
    for name, key in keymap.items():
        if name not in known:
            near = nearest(name, known)
            hint = f"nearest valid key: tui.keys.{near[0]}" if near else f"valid keys: {', '.join(known)}"
            raise ConfigError(f"{where}: tui.keys.{name} = {key!r}: there is no such action; {hint}")
    taken: dict[str, str] = {}
    for name in sorted(known, key=lambda n: n not in keymap):  # what was asked for first: the other one gave no cause
        for key in (k.strip() for k in keymap.get(name, known[name].key).split(",")):
            other = taken.setdefault(_NAMED.get(key, key), name)
            if other != name:
                raise ConfigError(
                    f"{where}: tui.keys.{other} = {keymap.get(other)!r}: {key} is the key of {name} already; "
                    f"give tui.keys.{name} another one, too"
                )


def _a(id: str, key: str, word: str, group: str, sentence: str, *, shown: str = "", writes: bool = False) -> Action:
    return Action(id, key, word, sentence, group, shown or key, writes)


ACTIONS = (
    _a("warm", "w", "warm up", "model", "load the selected model, so that its first answer is quick", writes=True),
    _a(
        "unload",
        "u",
        "unload",
        "model",
        "give the selected model's memory back; answers under way finish first",
        writes=True,
    ),
    _a(
        "swap",
        "s",
        "swap",
        "task",
        "choose another model for this task; see first what it would gain and cost",
        writes=True,
    ),
    _a(
        "canary",
        "c",
        "canary",
        "task",
        "try another model on a part of the requests first; how a trial stands",
        writes=True,
    ),
    _a("rollback", "r", "roll back", "task", "return this task to the model that served before", writes=True),
    _a("bench", "b", "bench", "task", "measure the models on their benchmark, or cancel a running one", writes=True),
    _a("autopilot", "a", "autopilot", "task", "on, observe or off for this task", writes=True),
    _a(
        "veto",
        "n",
        "veto",
        "task",
        "what the autopilot announces does not happen; it then leaves the task alone",
        writes=True,
    ),
    _a("task", "t", "task", "view", "choose the task whose ranking is shown"),
    _a(
        "task_view",
        "T",
        "task view",
        "view",
        "the chosen task: criteria with a preview, what would trigger a swap, its past",
    ),
    _a("details", "enter", "details", "view", "all that is known of the selected line", shown="⏎"),
    _a("explain", "e", "explain", "view", "the record behind the selected swap, or this task's choice"),
    _a("log", "l", "log", "view", "what the selected model's worker printed"),
    _a("engine_log", "L", "engine's log", "view", "what happened in the engine, and what it warned of"),
    _a(
        "playground",
        "g",
        "playground",
        "view",
        "one prompt, two models' answers side by side; judge with one key",
        writes=True,
    ),
    _a("requests", "R", "requests", "view", "the requests as they end; the whole record of each"),
    _a("history", "H", "history", "view", "every swap there was, and the record of each"),
    _a("benchmark", "B", "benchmark", "view", "what is measured of each task and model; start a run for any of them"),
    _a("registry", "M", "registry", "view", "every version: register, discover, activate, deprecate, pin"),
    _a("sort", "o", "sort", "view", "sort the focused table by another column"),
    _a("filter", "/", "filter", "view", "keep the lines with these words; also state:ready task:code -word"),
    _a("zoom", "z", "zoom", "view", "this region alone, or all of them again"),
    _a(
        "hardware", "m", "machine", "view", "the whole machine: its last ten minutes, every reading, why one is missing"
    ),
    _a("shown", "v", "shown", "view", "which regions and which columns of the tables are shown"),
    _a("freeze", "p", "freeze", "view", "hold the picture still; collecting goes on"),
    _a("palette", "ctrl+p", "find", "view", "find an action by its name", shown="^p"),
    _a("export", "x", "picture", "view", "write this screen as SVG, and the data behind it as CSV and JSON"),
    _a("tour", "i", "tour", "view", "what each region is for, in five steps"),
    _a("help", "?", "help", "view", "every key; enter runs the selected one"),
    _a("quit", "q", "quit", "view", "give the terminal back"),
    _a("region(1)", "1", "models", "place", "the models; pressed again: that region alone"),
    _a("region(2)", "2", "ranking", "place", "the ranking of the chosen task"),
    _a("region(3)", "3", "machine", "place", "the machine"),
    _a("region(4)", "4", "swaps", "place", "what was swapped"),
    _a("region(5)", "5", "now", "place", "what happens now: long work and alerts"),
    _a("move(1)", "j,down", "down", "place", "next line", shown="j ↓"),
    _a("move(-1)", "k,up", "up", "place", "line before", shown="k ↑"),
    _a("page(1)", "ctrl+d,pagedown", "page down", "place", "half a page down", shown="^d"),
    _a("page(-1)", "ctrl+u,pageup", "page up", "place", "half a page up", shown="^u"),
    _a("end(1)", "G,end", "last", "place", "last line", shown="G"),
    _a("end(-1)", "home", "first", "place", "first line", shown="home"),
)
BY_ID = {a.id: a for a in ACTIONS}
FOOTER = (
    "veto",
    "warm",
    "unload",
    "swap",
    "canary",
    "rollback",
    "bench",
    "autopilot",
    "task",
    "task_view",
    "details",
    "explain",
    "log",
    "playground",
    "sort",
    "filter",
    "zoom",
    "freeze",
)
