"""Draws the pictures of the README from the tests' canned snapshots: ``python screenshots/make.py [--png FOLDER]``.

SVGs land beside this file. ``--png`` also renders them (needs cairosvg), which is how a human looks at every state.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "tui"))

import canned  # noqa: E402  (its folder is put on the path above)
import canned_past  # noqa: E402
import canned_states  # noqa: E402
import fake_cockpit  # noqa: E402

KEPT: dict[str, tuple[tuple[int, int], dict[str, Any], Sequence[str]]] = {
    "main-dark-120x40": ((120, 40), {}, ()),
    "main-light-120x40": ((120, 40), {"theme": "light"}, ()),
    "main-dark-80x24": ((80, 24), {}, ()),
    "main-dark-200x60": ((200, 60), {}, ()),
    "swap-dialog": ((120, 40), {}, ("s",)),
    "swap-record": ((120, 40), {}, ("4", "enter")),
    "model": ((120, 40), {}, ("enter",)),
    "task": ((120, 40), {}, ("T", "j", *["right"] * 4)),
    "why": ((120, 40), {}, ("e",)),
    "machine": ((120, 40), {}, ("m",)),
    "keys": ((120, 40), {}, ("?",)),
    "how": ((120, 40), {}, ("s", "enter")),
    "trial": ((120, 40), {"of": canned_states.ON_TRIAL}, ("c",)),
    "history": ((120, 40), {}, ("H",)),
    "requests": ((120, 40), {}, ("R",)),
    "benchmark": ((120, 40), {}, ("B",)),
    "registry": ((120, 40), {}, ("M",)),
    "playground": ((120, 40), {}, ("g", *"Rates", "space", *"are", "space", *"held", "enter")),
    "log": ((120, 40), {}, ("l",)),
    "tour": ((120, 40), {}, ("i",)),
    "high-contrast": ((120, 40), {"theme": "high-contrast"}, ()),
    "four-gpus": ((200, 60), {"of": canned_states.FOUR_GPUS}, ()),
}


async def picture(snapshot: canned.Snapshot, size: tuple[int, int], press: Sequence[str], **kw: Any) -> str:
    """One SVG of the cockpit after some keys; ids are made stable so that equal pictures are equal files."""
    engine = fake_cockpit.FakeEngine(snapshot)
    engine.machine_answer = canned_past.machine()
    app = fake_cockpit.cockpit(snapshot, engine=engine, **kw)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        for key in press:
            await pilot.press(key)
            for _ in range(3):  # the fake engine's answers have been drawn
                await pilot.pause()
        svg = app.export_screenshot(title="arbiter", simplify=True)
    return re.sub(r"\bterminal-\d+-", "terminal-", svg)


def rendered(svg: str, path: Path) -> None:
    import cairosvg

    local = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.S).replace("Fira Code", "DejaVu Sans Mono")
    local = local.replace("font-size: 20px", "font-size: 20.27px")  # that font's advance, on the grid of the SVG
    cairosvg.svg2png(bytestring=local.encode(), write_to=str(path), scale=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path)
    options = parser.parse_args()
    for name, (size, kw, press) in KEPT.items():
        snapshot = kw.get("of", canned.HEALTHY)
        svg = asyncio.run(picture(snapshot, size, press, **{k: v for k, v in kw.items() if k != "of"}))
        (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(HERE / f"{name}.svg")
        if options.png:
            options.png.mkdir(parents=True, exist_ok=True)
            rendered(svg, options.png / f"{name}.png")


if __name__ == "__main__":
    main()
