"""Everything that is wrong with a configuration file, not only what is found first.

Owns: reading on behind an error. Never: a rule of its own (config.py has them all).

What was refused is taken out of a copy and the rest is read again: a key that is wrong hides nobody else. A key that
has to be there gets a name that nobody else has; a block that is still refused is taken out whole.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from typing import Any

from .config import from_table
from .config_reader import Where
from .errors import ConfigError

MOST = 50  # that are told; a file with more of them is no configuration
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_BLOCK = re.compile(r"^(\w+)\[(\d+)\]")

Step = str | int


def flaws(text: str, file: str) -> list[ConfigError]:
    """In the order in which they are found. Empty: the file is right."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return [ConfigError(f"{file}: not valid TOML: {error}", details={"file": file})]
    return _Reading(table, file).flaws()


def together(found: list[ConfigError]) -> ConfigError:
    """One error that names them all, a line each."""
    if len(found) == 1:
        return found[0]
    told = "\n".join(map(str, found))
    return ConfigError(told, details={**found[0].details, "problems": [e.details for e in found]})


class _Reading:
    """``table`` is taken apart."""

    def __init__(self, table: dict[str, Any], file: str) -> None:
        self._table, self._file = table, file
        self._tried: dict[str, int] = defaultdict(int)  # path -> how often it was refused
        self._gone: dict[str, list[int]] = defaultdict(list)  # list of blocks -> places that were taken out of it

    def flaws(self) -> list[ConfigError]:
        found: list[ConfigError] = []
        while len(found) < MOST:
            try:
                from_table(self._table, Where(self._file))
            except ConfigError as error:
                path = str(error.details.get("key") or "")
                if not self._tried[path]:
                    found.append(self._placed(error, path))
                self._tried[path] += 1
                if not self._mended(path, [int(n) if n else name for name, n in _STEP.findall(path)]):
                    break
            else:
                break
        return found

    def _placed(self, error: ConfigError, path: str) -> ConfigError:
        """With its block's number in the file."""
        block = _BLOCK.match(path)
        if block is None or not self._gone[block[1]]:
            return error
        number = int(block[2])
        for place in sorted(self._gone[block[1]]):
            number += place <= number
        true = f"{block[1]}[{number}]{path[block.end() :]}"
        return ConfigError(str(error).replace(path, true), details={**error.details, "key": true})

    def _mended(self, path: str, steps: list[Step]) -> bool:
        """False if there is nothing that could be taken out: then nothing more can be found."""
        if not steps:
            return False
        holder = self._at(steps[:-1])
        if isinstance(holder, dict) and self._tried[path] <= 2:
            if steps[-1] in holder and self._tried[path] == 1:
                del holder[steps[-1]]
            else:  # it has to be there
                holder[str(steps[-1])] = f"name-{len(self._tried)}-{sum(self._tried.values())}"
            return True
        while steps and not isinstance(steps[-1], int):
            steps = steps[:-1]
        return bool(steps) and self._without_block(steps)

    def _without_block(self, steps: list[Step]) -> bool:
        several, place = self._at(steps[:-1]), steps[-1]
        if not isinstance(several, list) or not isinstance(place, int) or place >= len(several):
            return False
        del several[place]
        if len(steps) == 2:
            original = place
            for gone in sorted(self._gone[str(steps[0])]):
                original += gone <= original
            self._gone[str(steps[0])].append(original)
        for path in [p for p in self._tried if p.startswith(f"{steps[0]}[")]:
            del self._tried[path]  # their numbers are others' now
        return True

    def _at(self, steps: list[Step]) -> Any:
        holder: Any = self._table
        for step in steps:
            try:
                holder = holder[step]
            except (KeyError, IndexError, TypeError):
                return None
        return holder
