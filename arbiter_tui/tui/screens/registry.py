"""The registry: every version with its stage of life, and what changes it.

Owns: when the versions are asked for, what is asked before a change. Never: drawing (widgets/registry_table.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from ...errors import ArbiterError
from .. import format as fmt
from ..state import Notice, Trouble, View, serves
from ..text import Line, line
from ..widgets.panel import ListPanel
from ..widgets.registry_table import RegistryTable
from .confirm import Choice, Confirm
from .view import ALWAYS, MOVES, ViewScreen, bindings, key

PROVIDERS = ("llama_server", "llama_cpp", "ollama")


class Registry(ViewScreen):
    NAME = "registry"
    ACTION = "registry"
    KEYS = (
        key("record", "enter", "details", "all that is known of this version", shown="⏎"),
        key("register", "n", "register", "a file by its path, or ollama:NAME; it becomes a draft", writes=True),
        key("discover", "d", "discover", "what is installed or runs on the engine's machine", writes=True),
        key("activate", "a", "activate", "tasks may use it", writes=True),
        key("deprecate", "D", "deprecate", "tasks no longer choose it", writes=True),
        key("pin", "p", "pin", "never evict it, or let it be evicted again", writes=True),
        key("sort", "o", "sort", "by stage of life, name, provider or size"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("registry", KEYS), *MOVES, *ALWAYS]

    def __init__(self, view: View) -> None:
        super().__init__(view)
        self.rows = RegistryTable(view)
        self._seen: object = None
        self._asking = False
        self._expected: set[str] = set()  # registered: said when a snapshot shows them

    def parts(self) -> Sequence[Widget]:
        self.rows.styles.height = "1fr"
        return (self.rows,)

    def table(self) -> ListPanel[Any]:
        return self.rows

    def sentence(self) -> Line:
        return line(("a draft may be tried; tasks choose among active ones; ◆ serves, ⊙ is pinned", "unit"))

    def why_not(self, id: str) -> str | None:
        row = self.rows.selected()
        if id in ("register", "discover"):
            return None
        if row is None:
            return "nothing is selected"
        match id:
            case "activate":
                return None if row.lifecycle in ("draft", "deprecated") else f"it is {row.lifecycle}"
            case "deprecate":
                served = serves(self.view.snapshot, row.version) if self.view.snapshot else []
                if served:
                    return f"it serves {fmt.list_of(served)}: swap that first"
                return None if row.lifecycle == "active" else f"it is {row.lifecycle}"
        return None

    # asking --------------------------------------------------------------------------------------------------------
    def on_news(self) -> None:
        """The versions are asked for when the table of them has changed; what a model does now changes nothing here."""
        snapshot = self.view.snapshot
        if snapshot is None or self.view.link != "live" or self.engine is None:
            return
        arrived = self._expected & {m.version for m in snapshot.models}
        if arrived:
            self._expected -= arrived
            self.view.notice = Notice(f"✓ registered as draft: {fmt.list_of(sorted(arrived), 2)}; a activates it", "ok")
        seen = tuple((m.version, m.lifecycle, m.pinned, m.aliases) for m in snapshot.models)
        if seen != self._seen and not self._asking:
            self._seen, self._asking = seen, True
            self.run_worker(self._ask(), exit_on_error=False)

    async def _ask(self) -> None:
        try:
            assert self.engine is not None
            self.rows.take(await self.engine.models())
        except (ArbiterError, OSError, TimeoutError) as error:
            self._seen = None
            said = str(error) or type(error).__name__
            self.rows.trouble = Trouble("The engine did not tell its versions", said, "It is asked again by itself.")
        finally:
            self._asking = False
        self.redraw()

    # keys ----------------------------------------------------------------------------------------------------------
    def do_record(self) -> None:
        row = self.rows.selected()
        if row is not None:
            from .explain import Reading, record

            self.app.push_screen(Reading(self.view, row.version, lambda width: record(row.data, width)))

    def do_sort(self) -> None:
        self.rows.next_sort()

    def do_register(self) -> None:
        from .registering import RegisterSheet

        names = dict.fromkeys([*PROVIDERS, *(k.provider for k in self.rows.known if k.provider)])

        def chosen(what: tuple[str, str] | None) -> None:
            if what is not None:
                self._register([what])

        self.app.push_screen(RegisterSheet(self.view, list(names), local=self.cockpit.local), chosen)

    def do_discover(self) -> None:
        engine = self.engine
        if engine is not None:
            self.say(Notice("◐ looking what is there …"))
            self.fetch("looking what is there", engine.discover(), self._discovered)

    def _discovered(self, found: Sequence[Mapping[str, Any]]) -> None:
        from .registering import FoundSheet

        def chosen(ticked: list[dict[str, Any]] | None) -> None:
            if ticked:
                self._register([(str(t.get("provider")), str(t.get("source"))) for t in ticked])

        self.say(None)
        self.app.push_screen(FoundSheet(self.view, found), chosen)

    def _register(self, several: Sequence[tuple[str, str]]) -> None:
        self.say(Notice(f"◐ registering {fmt.list_of([source for _, source in several], 2)} …"))
        self.run_worker(self._registering(several), exit_on_error=False)

    async def _registering(self, several: Sequence[tuple[str, str]]) -> None:
        """One after the other; the first refusal ends it, and what was registered before stays."""
        assert self.engine is not None
        known: list[str] = []
        for provider, source in several:
            try:
                answer = await self.engine.register(provider, source)
            except (ArbiterError, OSError, TimeoutError) as error:
                self.say(Notice(f"✕ {source}: {error or type(error).__name__}", "fail"))
                return
            version = str(answer.get("version", ""))
            if answer.get("known"):
                known.append(version)
            else:
                self._expected.add(version)
        if known and not self._expected:
            self.say(Notice(f"✓ already known as {fmt.list_of(known, 2)}", "ok"))
        self.on_news()
        self.redraw()

    def _ask_first(self, question: str, said: str, choice: Choice, then: Any) -> None:
        def answered(chosen: str | None) -> None:
            if chosen is not None:
                then()

        self.app.push_screen(Confirm(self.view, question, [said], [choice]), answered)

    def do_activate(self) -> None:
        row = self.rows.selected()
        if row is not None:
            said = "Tasks may choose it from now on: the autopilot, too, once it has been measured."
            choice = Choice("activate", "Activate", "D takes it back")
            version = row.version
            self._ask_first(f"activate {version}?", said, choice, lambda: self.cockpit.commander.activate(version))

    def do_deprecate(self) -> None:
        row = self.rows.selected()
        if row is not None:
            said = "No task chooses it any more; what was measured of it stays. It may be activated again."
            choice = Choice("deprecate", "Deprecate", "a takes it back")
            version = row.version
            self._ask_first(f"deprecate {version}?", said, choice, lambda: self.cockpit.commander.deprecate(version))

    def do_pin(self) -> None:
        row = self.rows.selected()
        if row is not None:
            self.cockpit.commander.pin(row.version, not row.pinned)
