"""The keys for pictures and for the way around: export, help, palette, tour. Owns: the flow. Never: the content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .app import CockpitApp


class DoorActions:
    """Mixed into Actions: ``do_ID`` of each key."""

    app: CockpitApp

    def do_help(self, *, typing: bool = False) -> None:
        from .screens.help import Help

        def chosen(action: str | None) -> None:
            if action is not None:
                self.app.call_later(self.app.main.run_any, action)

        main = self.app.main
        self.app.push_screen(Help(self.app.view, main.why_not, typing=typing, place=main.focused_panel().digit), chosen)

    def do_palette(self) -> None:
        self.do_help(typing=True)

    def do_tour(self) -> None:
        from .screens.tour import Tour

        self.app.push_screen(Tour(self.app.main))

    def do_export(self) -> None:
        from .export import written

        self.app.say(written(self.app))
