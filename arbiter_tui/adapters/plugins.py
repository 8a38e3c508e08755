"""Providers from the entry-point group ``arbiter.providers``: the names, exactly one, or all.

Owns: finding and making providers. Never: loads a model. Listing imports nothing; a broken plugin warns when all are
loaded and raises when it is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from ..config import ProviderBlock
from ..core.policies import POLICIES
from ..errors import ConfigError, UnknownName
from ..provider import Provider, ProviderConfig
from .secrets import resolve_all

GROUP, POLICY_GROUP = "arbiter.providers", "arbiter.policies"
# Kinds that need no configuration: they run embedded, or find their server at its usual loopback address.
WITHOUT_CONFIGURATION = ("llama_server", "llama_cpp", "ollama")
# Kinds whose sources are files: they look for a relative one below [pool] model_dirs.
FROM_FILES = frozenset({"llama_server", "llama_cpp", "server"})


class PluginWarning(UserWarning):
    """An installed provider that can't be used; the others go on."""


def _found() -> Mapping[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def provider_kinds() -> list[str]:
    """The installed kinds, sorted. Imports none of them."""
    return sorted(_found())


def check_kinds(blocks: Sequence[ProviderBlock], *, file: str) -> None:
    """What is installed is no matter of a file's grammar; still a kind that nobody provides would stop the engine.

    Raises ConfigError.
    """
    known = provider_kinds()
    for block in blocks:
        if block.kind not in known:
            where = f"{file}: providers.{block.name}.kind"
            raise ConfigError(f"{where}: {block.kind!r} is not installed; known: {', '.join(known)}")


def check_providers(blocks: Sequence[ProviderBlock], *, file: str) -> None:
    """The blocks' own options, as a start would find them; no secret is looked up, nothing is asked of anybody.

    Raises ConfigError.
    """
    check_kinds(blocks, file=file)
    for block in blocks:
        try:
            _made(block, _factory(block), ProviderConfig(name=block.name, kind=block.kind, options=block.options))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}", details={"file": file, "key": f"providers.{block.name}"}) from error


def provider_names(blocks: Sequence[ProviderBlock]) -> list[str]:
    """All that there will be: those of the blocks, and of kinds that need none."""
    taken = {block.kind for block in blocks}
    return [*(b.name for b in blocks), *(k for k in WITHOUT_CONFIGURATION if k not in taken and k in _found())]


def load_provider(block: ProviderBlock) -> Provider:
    """Make exactly this one. Raises UnknownName (no such kind) or ConfigError (broken, or its options are wrong)."""
    factory = _factory(block)
    config = ProviderConfig(name=block.name, kind=block.kind, options=resolve_all(block.options))
    return _made(block, factory, config)


def _factory(block: ProviderBlock) -> object:
    point = _found().get(block.kind)
    if point is None:
        raise UnknownName("provider kind", block.kind, provider_kinds())
    try:
        return point.load()
    except Exception as error:  # whatever a plugin's import raises is its own matter; it must not end the engine
        raise ConfigError(f"provider {block.name!r}: {point.value} can't be imported: {error}") from error


def _made(block: ProviderBlock, factory: object, config: ProviderConfig) -> Provider:
    if not callable(factory):
        raise ConfigError(f"provider {block.name!r}: the entry point {block.kind!r} is not callable")
    try:
        provider = factory(config)
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"provider {block.name!r}: {error}") from error
    if not isinstance(provider, Provider):
        raise ConfigError(f"provider {block.name!r}: {type(provider).__name__} lacks parts of the provider contract")
    return provider


def load_providers(blocks: Iterable[ProviderBlock] = (), *, model_dirs: Sequence[str] = ()) -> dict[str, Provider]:
    """The configured providers, and those that need no configuration unless a block of their kind is there.

    ``model_dirs``: absolute folders of model files. A configured provider that is broken raises; an unconfigured one
    warns (PluginWarning) and is left out.
    """
    configured = [_with_folders(block, model_dirs) for block in blocks]
    providers = {block.name: load_provider(block) for block in configured}
    taken = {block.kind for block in configured} | providers.keys()
    for kind in WITHOUT_CONFIGURATION:
        if kind in taken or kind not in _found():
            continue
        try:
            providers[kind] = load_provider(_with_folders(ProviderBlock(name=kind, kind=kind), model_dirs))
        except ConfigError as error:
            warnings.warn(str(error), PluginWarning, stacklevel=2)
    return providers


def load_policies() -> list[str]:
    """Adds the policies of the group ``arbiter.policies`` to core's; their names. One that can't be imported, or that
    takes a name that is taken, warns and is left out."""
    added = []
    for point in entry_points(group=POLICY_GROUP):
        try:
            if point.name in POLICIES:
                raise ConfigError("the name is taken")
            factory = point.load()
            if not callable(factory):
                raise ConfigError("it is not callable")
        except Exception as error:  # whatever a plugin's import raises is its own matter
            warnings.warn(f"policy {point.name!r} ({point.value}): {error}", PluginWarning, stacklevel=2)
            continue
        POLICIES[point.name] = factory
        added.append(point.name)
    return added


def _with_folders(block: ProviderBlock, model_dirs: Sequence[str]) -> ProviderBlock:
    """A block's own ``model_dirs`` stand."""
    if not model_dirs or block.kind not in FROM_FILES:
        return block
    return replace(block, options={"model_dirs": tuple(model_dirs), **block.options})
