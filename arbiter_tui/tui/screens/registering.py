"""What registers: a path typed with completion, and a list of what was found, each with a tick. Owns: the two dialogs.

Completion looks into this machine's folders, and only where the engine runs on this machine. Never: registers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from textual import events
from textual.binding import Binding

from .. import format as fmt
from ..state import View
from ..text import Line, line, paragraphs
from .sheet import Entry, Sheet

SHOWN = 200  # entries of one folder
OLLAMA = "ollama:"


def completions(typed: str) -> list[str]:
    """Folders and model files that begin with what was typed, folders with a slash; what can't be read has none."""
    folder, _, begun = typed.rpartition("/")
    base = Path(os.path.expanduser(folder + "/" if folder or typed.startswith("/") else "."))
    try:
        with os.scandir(base) as found:
            entries = [(e.name, e.is_dir()) for e in found if e.name.startswith(begun)]
    except OSError:
        return []
    kept = [(n, d) for n, d in entries if (d or n.lower().endswith(".gguf")) and (begun or not n.startswith("."))]
    head = f"{folder}/" if folder or typed.startswith("/") else ""
    return [f"{head}{name}{'/' if d else ''}" for name, d in sorted(kept, key=lambda e: (not e[1], e[0]))][:SHOWN]


class RegisterSheet(Sheet[tuple[str, str]]):
    """Dismisses with (provider, source). Typing never leaves the line; tab completes, arrows choose."""

    WIDE = 96
    FILTER = True
    ASK = "›"  # no slash: a path may begin with one
    BINDINGS = [Binding("ctrl+t", "provider", "another runtime", show=False)]

    def __init__(self, view: View, providers: Sequence[str], *, local: bool) -> None:
        super().__init__(view)
        self.providers, self.local = list(providers), local
        self.provider: str | None = None  # where one was chosen
        self.typing = True
        self._found: list[str] = completions("") if local else []

    def action_provider(self) -> None:
        names = self.providers
        at = names.index(self.chosen_provider) if self.chosen_provider in names else -1
        self.provider = names[(at + 1) % len(names)]
        self.sync()

    @property
    def chosen_provider(self) -> str:
        return self.provider or ("ollama" if self.wanted.startswith(OLLAMA) else "llama_server")

    def heading(self) -> Line:
        return line(("register", "title"), (" · with ", "unit"), (self.chosen_provider, "label"))

    def hint(self) -> Line:
        complete = (("tab", "key"), (" complete  ", "unit")) if self.local else ()
        rest = (("^t", "key"), (" provider  ", "unit"), ("⏎", "key"), (" register  ", "unit"))
        return line(*complete, *rest, ("esc", "key"), (" cancel", "unit"))

    def entries(self, width: int) -> Sequence[Entry]:
        if self._found:
            return [Entry((line((fmt.fit(fmt.visible(p), width), "label")),), p) for p in self._found]
        said = (
            "Type the path of a .gguf file (tab completes), or ollama:NAME for what a local Ollama has."
            if self.local and not self.wanted
            else "No folder or .gguf file begins like this; ollama:NAME takes what a local Ollama has."
            if self.local
            else "The engine runs elsewhere: type the path as it is on its machine, or ollama:NAME."
        )
        return [Entry(tuple(paragraphs(said, width, "unit")))]

    def visible_entries(self, width: int) -> list[Entry]:
        return list(self.entries(width))

    def _type(self, text: str) -> None:
        self.wanted = text
        self._found = completions(text) if self.local and not text.startswith(OLLAMA) else []
        self.cursor = self._found[0] if self._found else None
        self.fit()

    def on_key(self, event: events.Key) -> None:
        match event.key:
            case "tab":
                if self.cursor is not None:
                    self._type(self.cursor)
            case "backspace":
                self._type(self.wanted[:-1])
            case "ctrl+u":
                self._type("")
            case "enter":
                self._enter()
            case _ if event.is_printable and event.character:
                self._type(self.wanted + event.character)
            case _:
                return
        event.stop()
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self._type(self.wanted + fmt.visible(event.text.strip()))

    def _enter(self) -> None:
        """A folder under the cursor is opened; else what is typed, or the file under the cursor, is meant."""
        wanted = self.wanted
        if self.cursor is not None and self.cursor != wanted:
            if self.cursor.endswith("/") or not wanted.lower().endswith(".gguf"):
                self._type(self.cursor)
            if self.cursor is None or self.wanted.endswith("/"):
                return
            wanted = self.wanted
        if wanted and not wanted.endswith("/"):
            plain = wanted.startswith(OLLAMA) or not self.local
            self.dismiss((self.chosen_provider, wanted if plain else os.path.abspath(os.path.expanduser(wanted))))

    def action_close(self) -> None:
        self.dismiss(None)

    def chosen(self, key: str) -> None:
        """A click."""
        self.cursor = key
        self._enter()


class FoundSheet(Sheet[list[dict[str, Any]]]):
    """Dismisses with what is ticked: nothing at first; what is registered already can't be."""

    WIDE = 96
    BINDINGS = [Binding("space", "tick", "choose it, or not", show=False)]

    def __init__(self, view: View, found: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(view)
        self.found = {str(f.get("version")): dict(f) for f in found}
        self.ticked: set[str] = set()

    def heading(self) -> Line:
        return line(("found on the engine's machine", "title"))

    def hint(self) -> Line:
        keys = (("space", "key"), (" tick  ", "unit"), ("⏎", "key"), (" register what is ticked  ", "unit"))
        return line(*keys, ("esc", "key"), (" cancel", "unit"))

    def entries(self, width: int) -> Sequence[Entry]:
        out = []
        for version, data in self.found.items():
            known = data.get("registered") is True
            box = "  ✓ " if known else "[✓] " if version in self.ticked else "[ ] "
            provider = fmt.fit(fmt.visible(str(data.get("provider", ""))), 14)
            room = max(16, width - 36)
            text = line(
                (box, "unit" if known or version not in self.ticked else "accent"),
                (f"{fmt.fit(fmt.visible(version), room):<{room}}", "unit" if known else "figure"),
                (f" {provider:<15}", "label"),
                ("registered" if known else "", "unit"),
            )
            out.append(Entry((text,), version))
        said = "Nothing was found: no installed embedded model, no running Ollama."
        return out or [Entry(tuple(paragraphs(said, width, "unit")))]

    def action_tick(self) -> None:
        if self.cursor is not None and self.found.get(self.cursor, {}).get("registered") is not True:
            self.ticked ^= {self.cursor}
            self.sync()

    def chosen(self, key: str) -> None:
        self.dismiss([data for version, data in self.found.items() if version in self.ticked])
