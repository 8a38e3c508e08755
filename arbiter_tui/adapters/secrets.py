"""References to secrets in the configuration: ``env:NAME``, ``file:PATH``, ``keyring:NAME``.

Owns: turning a reference into its value, as late as possible (when a provider is made).
Never: puts a value into an error, a log or the store; errors name the reference only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..config_gates import SECRET_SCHEMES
from ..errors import ConfigError

KEYRING_SERVICE = "arbiter"
OTHERS = 0o077  # of a file's mode: what its owner alone may do is nobody else's


def is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(SECRET_SCHEMES)


def resolve(reference: str) -> str:
    """The secret behind a reference. Raises ConfigError, which names the reference and never the value."""
    scheme, _, name = reference.partition(":")
    match scheme:
        case "env":
            found = os.environ.get(name)
            missing = f"the environment variable {name} is not set"
        case "file":
            found, missing = _from_file(Path(name).expanduser())
        case "keyring":
            found, missing = _from_keyring(name)
        case _:
            raise ConfigError("a secret must be a reference: env:NAME, file:PATH or keyring:NAME")
    if not found:
        raise ConfigError(f"secret {reference}: {missing}", details={"reference": reference})
    return found


def resolve_all(options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` with every reference in it replaced, in nested tables too (headers, environment)."""
    return {key: _resolved(value) for key, value in options.items()}


def _resolved(value: Any) -> Any:
    if isinstance(value, str) and is_reference(value):
        return resolve(value)
    if isinstance(value, Mapping):
        return resolve_all(value)
    return value


def _from_file(path: Path) -> tuple[str | None, str]:
    try:
        if os.name == "posix" and path.stat().st_mode & OTHERS:
            return None, f"others may read the file (chmod 600 {path})"
        return path.read_text(encoding="utf-8").strip(), "the file is empty"
    except (OSError, UnicodeDecodeError) as error:
        return None, f"the file can't be read ({type(error).__name__})"


def _from_keyring(name: str) -> tuple[str | None, str]:
    try:
        import keyring
    except ImportError:
        return None, "the package keyring is not installed (pip install keyring)"
    try:
        return keyring.get_password(KEYRING_SERVICE, name), f"the keyring has no {KEYRING_SERVICE}/{name}"
    except Exception as error:  # keyring back ends raise their own kinds; a locked one must not stop the start-up
        return None, f"the keyring can't be read ({type(error).__name__})"
