"""What a request asks for that not every model can do: senses, and what only its client's own words can say.

Owns: the two refusals, each with the field and the way out. Never: a dialect, who is asked instead.
"""

from __future__ import annotations

from collections.abc import Collection

from ..core.registry import ModelVersion
from ..errors import NotSupported
from ..provider import Provider, Request


def check(request: Request, version: ModelVersion, provider: Provider | None) -> None:
    """Before anything is loaded for it. Raises NotSupported."""
    check_senses(request, version)
    relays: Collection[str] = getattr(provider, "relays", ())
    if request.only_original and (request.original is None or request.original.path not in relays):
        raise unsaid(request, version)


def check_senses(request: Request, version: ModelVersion) -> None:
    """Raises NotSupported, naming the first part that the model can't take."""
    for place, needed in request.media:
        if needed not in version.capabilities:
            told = f"{place}: {version.version} takes none; it needs the capability {needed!r}"
            raise NotSupported(
                f"{told} ([[models]] capabilities, where its runtime does not say so)", param=place.split(" ")[0]
            )


def unsaid(request: Request, version: ModelVersion) -> NotSupported:
    """Of a request that says something which its runtime can't be told."""
    told = f"{', '.join(map(repr, request.only_original))}: not possible with {version.version}"
    return NotSupported(
        f"{told}; only a server that is asked in the client's own words may take it", param=request.only_original[0]
    )
