"""``arbiter demo``: an honest show on real embedded models. What is scripted is said; outcomes never are.

Owns: the demo's own folder, engine, configuration and the driver's process. Never: what the driver plays
(demo_script.py), a decision (the autopilot's).

In a terminal it is the cockpit itself, with the script's last sentence in its own line; without one, the story, line
by line. Either way nothing of the user's own state is touched, and everything is gone afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from . import text as t
from .connect import end, spawn, wait_for_engine

# Small guards, and the policy that asks for the least evidence, so that a minute and a half is enough; a real
# installation keeps the defaults.
CONFIG = """\
[autopilot]
cooldown_s = 10
min_samples = 8
hold_s = 3
drift_min_samples = 8
sentinels_per_hour = 720
"""
TASK = """
[[tasks]]
name = "{name}"
policy = "score"
"""


def demo(options: Namespace) -> int:
    if options.url:
        t.note("arbiter: the demo has an engine of its own; --url is ignored")
    screen = sys.stdin.isatty() and sys.stdout.isatty() and not options.plain and os.environ.get("TERM") != "dumb"
    with _folder() as folder:
        options.state_dir = str(folder / "state")
        options.config = str(folder / "arbiter.toml")
        from .demo_cast import plan

        cast = plan(options.seed)
        names = dict.fromkeys((cast.gain.name, cast.engine.name, cast.fault.name))
        names.pop(cast.fault.name)
        tasks = [TASK.format(name=name) for name in (*names, cast.fault.name)]
        Path(options.config).write_text(CONFIG + "".join(tasks) + f"quality_threshold = {cast.threshold}\n")
        return _on_screen(options, folder) if screen else _as_text(options)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="arbiter-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _drive(options: Namespace, url: str, out: int | None) -> subprocess.Popen[bytes]:
    """The script plays in a process of its own: arrivals must not wait for the screen, nor the screen for them."""
    command = [
        sys.executable, "-m", "arbiter_tui.commands.demo_script", url, str(options.seed), str(options.seconds),
        str(options.config),
    ]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)


def _as_text(options: Namespace) -> int:
    engine = spawn(options, port=0)
    try:
        url = wait_for_engine(options, engine)
        driver = _drive(options, url, None)
        try:
            return driver.wait()
        except KeyboardInterrupt:
            return 130
        finally:
            end(driver)
    finally:
        end(engine)


def _on_screen(options: Namespace, folder: Path) -> int:
    from ..tui.app import run_cockpit

    engine = spawn(options, port=0)
    drivers: list[subprocess.Popen[bytes]] = []
    story = folder / "story.txt"

    def start() -> str:
        url = wait_for_engine(options, engine)
        if drivers:  # asked again after a loss: the show goes on by itself
            return url
        with story.open("ab") as out:
            drivers.append(_drive(options, url, out.fileno()))
        return url

    def last_line() -> str | None:
        with contextlib.suppress(OSError):
            lines = story.read_text(errors="replace").strip().splitlines()
            return t.clean(lines[-1]).strip() if lines else None
        return None

    try:
        return run_cockpit(None, start=start, story=last_line, on_quit=lambda stop: None)  # its engine ends below
    finally:
        for process in [*drivers, engine]:
            end(process)
        with contextlib.suppress(OSError):
            sys.stdout.write(story.read_text(errors="replace"))
