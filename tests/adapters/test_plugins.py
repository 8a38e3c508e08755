"""Providers by entry point, secrets by reference, the clock."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arbiter_tui.adapters import plugins, secrets
from arbiter_tui.adapters.clock import SystemClock
from arbiter_tui.adapters.plugins import PluginWarning, load_provider, load_providers, provider_kinds
from arbiter_tui.config import ProviderBlock
from arbiter_tui.errors import ConfigError, UnknownName
from arbiter_tui.provider import ProviderConfig
from arbiter_tui.testing import FakeProvider

MADE: list[ProviderConfig] = []


def make(config: ProviderConfig) -> FakeProvider:
    MADE.append(config)
    return FakeProvider(config.name)


def refuses(config: ProviderConfig) -> Any:
    raise ValueError("base_url is missing")


def incomplete(config: ProviderConfig) -> Any:
    return object()


NOT_CALLABLE = 3


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points of this module instead of the installed ones."""
    targets = {
        "fake": f"{__name__}:make", "llama_server": f"{__name__}:make", "refuses": f"{__name__}:refuses",
        "incomplete": f"{__name__}:incomplete", "number": f"{__name__}:NOT_CALLABLE",
        "llama_cpp": "a_module_that_is_not_there:Provider",
    }  # fmt: skip
    found = [EntryPoint(name=k, value=v, group=plugins.GROUP) for k, v in targets.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda group: found if group == plugins.GROUP else [])
    MADE.clear()


def test_listing_kinds_imports_none_of_them() -> None:
    """A kind whose import is broken is still listed."""
    assert provider_kinds() == ["fake", "incomplete", "llama_cpp", "llama_server", "number", "refuses"]


def test_a_block_becomes_a_provider_with_its_secrets_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The factory gets name, kind and options, references replaced in nested tables too."""
    monkeypatch.setenv("BOX_KEY", "s3cret")
    block = ProviderBlock(name="box", kind="fake", options={"api_key": "env:BOX_KEY", "headers": {"X": "env:BOX_KEY"}})
    assert load_provider(block).name == "box"
    (made,) = MADE
    assert made == ProviderConfig(name="box", kind="fake", options={"api_key": "s3cret", "headers": {"X": "s3cret"}})


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("llama_sever", UnknownName, "nearest: llama_server"),
        ("llama_cpp", ConfigError, "can't be imported"),
        ("refuses", ConfigError, "base_url is missing"),
        ("incomplete", ConfigError, "provider contract"),
        ("number", ConfigError, "not callable"),
    ],
)
def test_a_named_provider_that_is_broken_raises(kind: str, error: type[Exception], words: str) -> None:
    """Asking for exactly one names what is wrong with it."""
    with pytest.raises(error, match=words):
        load_provider(ProviderBlock(name="x", kind=kind))


def test_all_providers_warn_about_the_broken_and_bring_the_others() -> None:
    """Without configuration: what needs none; a broken one is a warning."""
    with pytest.warns(PluginWarning, match="can't be imported"):
        assert list(load_providers()) == ["llama_server"]


def test_a_block_of_a_kind_replaces_its_unconfigured_provider() -> None:
    """One's own llama_server block stands for that kind; a broken configured one raises."""
    blocks = [ProviderBlock(name="mine", kind="llama_server"), ProviderBlock(name="llama_cpp", kind="fake")]
    assert list(load_providers(blocks)) == ["mine", "llama_cpp"]
    with pytest.raises(ConfigError):
        load_providers([ProviderBlock(name="x", kind="refuses")])


def test_kinds_that_serve_files_learn_where_to_look_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """[pool] model_dirs reach them, configured or not; a block's own folders stand; other kinds get nothing new."""
    monkeypatch.setattr(plugins, "WITHOUT_CONFIGURATION", ("llama_server",))
    load_providers([ProviderBlock(name="box", kind="fake")], model_dirs=("/models",))
    assert [(m.name, m.options) for m in MADE] == [("box", {}), ("llama_server", {"model_dirs": ("/models",)})]
    MADE.clear()
    own = ProviderBlock(name="own", kind="llama_server", options={"model_dirs": ["/own"]})
    load_providers([own], model_dirs=("/models",))
    assert MADE[0].options == {"model_dirs": ["/own"]}


def test_the_installed_package_announces_its_own_providers() -> None:
    """Built-in kinds come through the same entry points as a third party's; listing them imports none."""
    code = (
        "import sys; from arbiter_tui.adapters.plugins import provider_kinds; print(provider_kinds());"
        "sys.exit(any(m.startswith('arbiter_providers.') for m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "llama_server" in done.stdout


def test_secrets_come_from_files_and_the_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """file: is stripped of white space; keyring: asks for the service arbiter."""
    (tmp_path / "key").write_text(" s3cret\n")
    (tmp_path / "key").chmod(0o600)
    assert secrets.resolve(f"file:{tmp_path / 'key'}") == "s3cret"
    ring = SimpleNamespace(get_password=lambda service, name: f"{service}/{name}")
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert secrets.resolve("keyring:box") == "arbiter/box"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_secret_that_others_may_read_is_none(tmp_path: Path, mode: int) -> None:
    """The error says how to close the file, and nothing of what is in it."""
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match=r"others may read the file \(chmod 600 ") as caught:
        secrets.resolve(f"file:{tmp_path / 'key'}")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("env:ARBITER_NO_SUCH", "not set"),
        ("file:/no/such/file", "can't be read"),
        ("keyring:x", "not installed"),
        ("sk-in-clear", "must be a reference"),
    ],
)
def test_a_secret_that_cannot_be_had_names_only_its_reference(
    reference: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error helps and never contains a value."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigError, match=words) as caught:
        secrets.resolve(reference)
    assert "sk-in-clear" not in str(caught.value)


def test_a_locked_keyring_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a keyring's back end raises, and an empty entry, is a ConfigError."""

    def locked(service: str, name: str) -> str:
        raise RuntimeError("locked")

    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=locked))
    with pytest.raises(ConfigError, match="RuntimeError"):
        secrets.resolve("keyring:x")
    monkeypatch.setitem(sys.modules, "keyring", SimpleNamespace(get_password=lambda s, n: None))
    with pytest.raises(ConfigError, match="has no arbiter/x"):
        secrets.resolve("keyring:x")


async def test_the_clock_goes_forward() -> None:
    """Wall time is unix seconds, monotonic time never falls, a negative sleep is none."""
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(-1.0)
    assert clock.monotonic() >= before
    assert clock.now() > 1_600_000_000
