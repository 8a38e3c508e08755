"""The keys that open a whole-screen view. Owns: which view, with what. Never: what it shows. Views are imported here,
when their key is pressed: the first paint needs none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import CockpitApp


class ViewActions:
    """Mixed into Actions: ``do_ID`` of each view's key on the main screen."""

    app: CockpitApp

    def do_playground(self) -> None:
        from .screens.playground import Playground

        self.app.push_screen(Playground(self.app.view, now=self.app.now))

    def do_benchmark(self) -> None:
        from .screens.bench_view import BenchView

        self.app.push_screen(BenchView(self.app.view))

    def do_history(self) -> None:
        from .screens.history import History

        self.app.push_screen(History(self.app.view))

    def do_log(self) -> None:
        from .screens.log import LogView

        version = self.app.main.target()
        if version is not None:
            self.app.push_screen(LogView(self.app.view, version))

    def do_engine_log(self) -> None:
        from .screens.log import LogView

        self.app.push_screen(LogView(self.app.view, None))

    def do_registry(self) -> None:
        from .screens.registry import Registry

        self.app.push_screen(Registry(self.app.view))

    def do_requests(self) -> None:
        from .screens.requests import Requests

        self.app.push_screen(Requests(self.app.view))

    def do_shown(self) -> None:
        from .screens.shown import ShownSheet

        self.app.push_screen(ShownSheet(self.app.main))

    def do_hardware(self) -> None:
        from .screens.hardware import Hardware

        self.app.push_screen(Hardware(self.app.view, self.app.engine))


def ask_again(app: CockpitApp, row: Mapping[str, Any]) -> None:
    """The playground with a request's prompt in it."""
    from .screens.playground import Playground

    playground = Playground(app.view, now=app.now)
    app.push_screen(playground)
    app.call_later(playground.take, row)
