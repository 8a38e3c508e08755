"""What is closed is gone: a cockpit that stands open all day holds no more than what it shows."""

from __future__ import annotations

import gc

from cockpit_seat import seat
from textual._styles_cache import StylesCache


def pictures() -> int:
    gc.collect()
    return sum(isinstance(o, StylesCache) for o in gc.get_objects())


async def test_a_closed_screen_leaves_no_picture_behind() -> None:
    """Textual keeps what a widget has drawn in a cache of 1,024 widgets, closed or not; here it is let go."""
    async with seat() as s:

        async def open_and_close(times: int) -> None:
            for key in ("question_mark", "H"):
                for _ in range(times):
                    await s.press(key)
                    assert s.app.screen is not s.app.main
                    await s.press("escape")
            await s.until(lambda: len(s.app.screen_stack) == 1)

        await open_and_close(2)
        before = pictures()
        await open_and_close(10)
        await s.until(lambda: pictures() <= before)
