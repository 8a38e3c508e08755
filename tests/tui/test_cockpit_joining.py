"""How a cockpit keeps to its engine: found again elsewhere, replaced by an own one, no first-run advice meanwhile."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from canned import HEALTHY
from canned_states import EMPTY
from cockpit_seat import Seat, seat
from fake_cockpit import Clock, FakeEngine, cockpit

from arbiter_tui.commands import own_engine
from arbiter_tui.errors import ArbiterError, EngineUnreachable, WireUnreadable
from arbiter_tui.tui.app import CockpitApp
from arbiter_tui.tui.screens.help import Help


async def test_after_a_loss_the_engine_is_looked_for_anew() -> None:
    """Joined to an engine that ends with another command: the next attempt asks where one is, and goes on there."""
    guest, own = FakeEngine(HEALTHY), FakeEngine(replace(HEALTHY, revision=3, narrator="an engine of my own"))
    engines = [guest, own]

    async def connect() -> Any:
        return engines[0] if guest.fail is None else own

    app = cockpit(HEALTHY, engine=guest, connect=connect, owns_engine=lambda: guest.fail is not None)
    async with app.run_test(size=(120, 40)) as pilot:
        while app.view.snapshot is None:
            await pilot.pause()
        assert not app.owns_engine
        guest.lose()
        while app.engine is not own or app.view.link != "live":
            await pilot.pause()
        assert app.view.snapshot is not None
        assert app.view.snapshot.narrator == "an engine of my own"
        assert app.owns_engine


@pytest.mark.parametrize("change", [{"link": "gone"}, {"engine": "draining"}, {"engine": "starting"}])
async def test_no_first_run_advice_where_the_models_are_only_out_of_sight(change: dict[str, str]) -> None:
    """An engine that is gone, ending or not there yet says nothing about which models are registered."""
    async with seat(EMPTY) as s:
        assert "No models yet" in s.screen_text()
        if "link" in change:
            s.engine.lose()
            await s.until(lambda: s.app.view.link == "gone")
        else:
            await s.show(replace(EMPTY, revision=9, engine=replace(EMPTY.engine, state=change["engine"])))
        assert "No models yet" not in s.screen_text()


async def test_the_engines_address_stands_in_the_header_and_in_the_help() -> None:
    """What to give an OpenAI client: in sight at wide sizes, one key away elsewhere."""
    known = replace(HEALTHY, engine=replace(HEALTHY.engine, url="http://127.0.0.1:8017"))
    for size in ((160, 40), (80, 24)):
        async with seat(known, size=size) as s:
            assert ("http://127.0.0.1:8017" in s.screen_text()) == (size[0] > 100)
            await s.press("question_mark")
            assert isinstance(s.app.screen, Help)
            assert "http://127.0.0.1:8017/v1" in s.screen_text()


class Process:
    """A child as OwnEngine sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


class Folder:
    """A state folder's engines, by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: dict[str, Any] | None = None
        self.background: set[int] = set()
        self.spawned: list[Process] = []
        self.refuses: str | None = None
        self.at = 0.0
        monkeypatch.setattr(own_engine, "running", lambda o: self.found)
        monkeypatch.setattr(own_engine, "in_background", lambda o, f: f["pid"] in self.background)
        monkeypatch.setattr(own_engine, "until_started", lambda url: None)
        monkeypatch.setattr(own_engine, "spawn", self.spawn)
        monkeypatch.setattr(own_engine, "wait_for_engine", self.wait)

    def spawn(self, options: Namespace, *, port: int | None) -> Process:
        self.spawned.append(Process(100 + len(self.spawned)))
        return self.spawned[-1]

    def wait(self, options: Namespace, process: Process) -> str:
        if self.refuses is not None:
            process.returncode = 1
            raise EngineUnreachable(self.refuses)
        self.found = {"pid": process.pid, "url": f"http://own-{process.pid}"}
        return f"http://own-{process.pid}"

    def ends(self, code: int) -> None:
        self.spawned[-1].returncode, self.found = code, None


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(monkeypatch)


def owner(folder: Folder) -> own_engine.OwnEngine:
    return own_engine.OwnEngine(Namespace(port=None), now=lambda: folder.at)


def test_a_guest_that_ends_is_replaced_by_an_own_engine(folder: Folder) -> None:
    """Joined to the engine of another `arbiter run`: when it has gone, this cockpit starts one."""
    folder.found, folder.background = {"pid": 7, "url": "http://run"}, {7}
    own = owner(folder)
    own.begin()
    assert own.url() == "http://run"
    assert not own.owned
    folder.found = None
    assert own.url() == "http://own-100"
    assert own.owned


def test_a_served_engine_that_ends_is_waited_for(folder: Folder) -> None:
    """Somebody runs `arbiter serve` and restarts it: the folder is left to them, and found again."""
    folder.found = {"pid": 7, "url": "http://served"}
    own = owner(folder)
    assert own.url() == "http://served"
    folder.found = None
    with pytest.raises(EngineUnreachable, match=r"http://served was stopped"):
        own.url()
    assert not folder.spawned
    folder.found = {"pid": 8, "url": "http://served-again"}
    assert own.url() == "http://served-again"


def test_an_own_engine_that_was_stopped_is_not_started_again(folder: Folder) -> None:
    """`arbiter stop` means it."""
    own = owner(folder)
    own.begin()
    assert own.url() == "http://own-100"
    folder.ends(0)
    for _ in range(2):
        with pytest.raises(EngineUnreachable, match="was stopped"):
            own.url()
    assert len(folder.spawned) == 1


def test_a_crashed_own_engine_is_started_again_but_not_for_ever(folder: Folder) -> None:
    """Three starts within a minute are enough; a minute later it is tried again."""
    own = owner(folder)
    for n in range(3):
        assert own.url() == f"http://own-{100 + n}"
        folder.ends(-9)
    with pytest.raises(EngineUnreachable, match="3 times within a minute"):
        own.url()
    folder.at = 61.0
    assert own.url() == "http://own-103"


def test_an_engine_that_cannot_start_is_tried_once(folder: Folder) -> None:
    """A port that is taken stays taken: the same words again, and no process each second."""
    folder.refuses = "the engine did not start: port 8017 is in use"
    own = owner(folder)
    own.begin()
    for _ in range(3):
        with pytest.raises(EngineUnreachable, match="port 8017"):
            own.url()
    assert len(folder.spawned) == 1


def test_whoever_is_faster_is_joined(folder: Folder) -> None:
    """Two cockpits start at once: one engine gets the folder, the other cockpit joins it."""
    own = owner(folder)
    own.begin()
    folder.refuses = "the engine did not start: the state folder is in use"
    before = folder.wait

    def lost(options: Namespace, process: Process) -> str:
        folder.found = {"pid": 9, "url": "http://faster"}
        return before(options, process)

    own_engine.wait_for_engine = lost  # type: ignore[assignment]  # the fixture's monkeypatch puts the real one back
    assert own.url() == "http://faster"
    assert not own.owned


def test_the_folder_says_whose_engine_it_is(tmp_path: Path) -> None:
    """The hint holds for the very process that was started, not for a later one with another pid."""
    from arbiter_tui.commands.connect import BACKGROUND_FILE, in_background

    options = Namespace(state_dir=str(tmp_path))
    assert not in_background(options, {"pid": 4})
    (tmp_path / BACKGROUND_FILE).write_text("4")
    assert in_background(options, {"pid": 4})
    assert not in_background(options, {"pid": 5})


def attached_to(error: ArbiterError | None) -> CockpitApp:
    """A cockpit that attaches to what never becomes an engine; without an error it never answers."""
    app = cockpit(engine=FakeEngine(fail=error))
    app.view.attached, app.view.task = "http://box:8017", "sentiment"
    return app


@pytest.mark.parametrize(
    "error",
    [
        EngineUnreachable("the engine at http://box:8017 can't be reached: connection refused"),
        WireUnreadable("what answers at http://box:8017 is no arbiter engine: its answer is not JSON"),
        ArbiterError("the engine answered 404: <html>"),
        None,
    ],
)
async def test_attaching_to_what_is_no_engine_tells_one_story(error: ArbiterError | None) -> None:
    """Attach starts nothing: every part of the screen says that nothing answers there, where, and what to do."""
    app = attached_to(error)
    async with app.run_test(size=(120, 40)) as pilot:
        s = Seat(app, app.engine, pilot)  # type: ignore[arg-type]
        await pilot.pause()
        if error is None:
            assert "Connecting to http://box:8017" in s.screen_text()
            cast("Clock", app._now).at += 3.5
            app.tick()
        await s.until(lambda: app.view.trouble is not None and "No engine answers" in s.screen_text())
        text = s.screen_text()
        assert text.count("No engine answers at http://box:8017") == 2  # the models' region and the narrator
        assert "no engine, trying again" in text
        assert "arbiter serve" in text
        assert "<html>" not in text, "another program's page is no reason"
        for other in ("start the engine", "Starting", "could not be started", "connecting", "sentiment", "doctor"):
            assert other not in text


async def test_an_own_engine_that_never_started_tells_one_story() -> None:
    """A port in use: the header and the narrator do not go on saying that it starts."""

    async def connect() -> Any:
        raise EngineUnreachable("the engine did not start: can't listen on 127.0.0.1:8017", details={"ended": True})

    app = cockpit(connect=connect, state="connecting")
    async with app.run_test(size=(120, 40)) as pilot:
        s = Seat(app, FakeEngine(), pilot)
        await s.until(lambda: app.view.link == "error" and "✕ no engine" in s.screen_text())
        text = s.screen_text()
        assert text.count("The engine could not be started") == 2
        assert "can't listen on 127.0.0.1:8017" in text
        assert "starting" not in text
        assert "does not answer" not in text
