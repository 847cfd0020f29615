"""Models by URI: a table of providers, and the providers of other packages.

A URI is `SCHEME:PATH`. What opens it is called as `opener(PATH, uri=URI, **options)`, whether this
package names it in a row or another one by an entry point whose name is the scheme.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from safejudge.errors import EngineSetupError
from safejudge.plugins import describe_error, find_plugin, load_plugin, plugin_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True)
class Provider:
    """One row: which URIs it opens, and how."""

    name: str
    """A scheme (`hf` opens every `hf:PATH`), or one whole URI (`hf:sketch`), which wins."""
    opener: str
    """`module:callable`, imported when such a URI is opened."""
    options: tuple[str, ...] | None = ()
    """The options that it takes; None: whatever the library behind it takes, and checks."""
    help: str = ""
    """What people are told where a URI is missing or wrong."""
    kit: str | None = None
    """Of an engine: the URI of the encoder and the detector that come with it."""
    bare: bool = False
    """Its name is a whole URI without a colon."""


@dataclass(frozen=True, slots=True)
class Registry:
    """Every provider of one kind of model."""

    noun: str
    """What messages call such a model."""
    providers: tuple[Provider, ...]
    """Those of this package."""
    protocol: type
    """What a model of another package must have."""
    group: str | None = None
    """The entry-point group of other packages; None: they can add none."""
    optional: frozenset[str] = frozenset()
    """What such a model may lack."""

    def help(self) -> str:
        """Say which URIs there are."""
        texts = [provider.help for provider in self.providers if provider.help]
        if self.group is not None:
            article = "an" if self.noun[0] in "aeiou" else "a"
            texts.append(
                f"NAME:... ({article} {self.noun} of another package, by its entry point "
                f"{self.group})"
            )
        return ", ".join(texts)

    def open(self, uri: str, options: Mapping[str, Any]) -> Any:
        """Start the model that a URI names.

        Raises `EngineSetupError`: for a URI that names none, for an option that its opener does
        not take, and for whatever a plug-in raises.
        """
        provider = self.provider(uri)
        if provider is None:
            return self._open_plugin(uri, options)
        _check_options(uri, options, provider.options)
        try:
            return resolve_name(provider.opener)(_path(uri), uri=uri, **options)
        except (TypeError, ValueError) as error:
            if not options:
                raise
            listed = ", ".join(f"{name}={value!r}" for name, value in options.items())
            raise EngineSetupError(f"{uri}: does not open with {listed}: {error}") from error

    def takes(self, uri: str, option: str) -> bool:
        """Whether the opener of a URI names this option as one of its own."""
        provider = self.provider(uri)
        if provider is not None:
            options = provider.options
        else:
            entry = self._plugin(uri)
            options = () if entry is None else _options_of(self._opener(entry, uri))
        return options is not None and option in options

    def provider(self, uri: str) -> Provider | None:
        """Find the row of a URI; None where no row of this package opens it."""
        rows = {provider.name: provider for provider in self.providers}
        scheme, colon, path = uri.partition(":")
        if (whole := rows.get(uri)) is not None and (colon or whole.bare):
            return whole
        row = rows.get(scheme)
        return row if path and row is not None and not row.bare else None

    def _plugin(self, uri: str) -> EntryPoint | None:
        scheme, colon, _ = uri.partition(":")
        if self.group is None or not colon or scheme in self._schemes():
            return None
        return find_plugin(self.group, scheme)

    def _schemes(self) -> set[str]:
        """Schemes of our own, which no plug-in can take."""
        return {provider.name.partition(":")[0] for provider in self.providers}

    def _opener(self, entry: EntryPoint, uri: str) -> Callable[..., Any]:
        opener: Callable[..., Any] = load_plugin(entry, f"{self.noun} {uri!r}", EngineSetupError)
        return opener

    def _open_plugin(self, uri: str, options: Mapping[str, Any]) -> Any:
        entry = self._plugin(uri)
        if entry is None:
            raise self._unknown(uri)
        opener = self._opener(entry, uri)
        _check_options(uri, options, _options_of(opener))
        try:
            model = opener(_path(uri), uri=uri, **options)
        except EngineSetupError:
            raise
        except (Exception, SystemExit) as error:  # whatever another package raises
            problem = describe_error(error)
            raise EngineSetupError(f"{uri}: {entry.value} could not open it: {problem}") from error
        asked = vars(self.protocol).keys() - self.optional
        members = [n for n in vars(self.protocol) if n in asked and not n.startswith("_")]
        if lacking := [name for name in members if not hasattr(model, name)]:
            raise EngineSetupError(
                f"{uri}: {entry.value} opened a {type(model).__name__}, which is no {self.noun}: "
                f"it has no {', '.join(lacking)}"
            )
        return model

    def _unknown(self, uri: str) -> EngineSetupError:
        names = plugin_names(self.group) if self.group is not None else []
        names = [name for name in names if name not in self._schemes()]
        installed = f" Installed: {', '.join(f'{name}:' for name in names)}." if names else ""
        meant = self._meant(uri)
        hint = f" Do you mean {meant}?" if meant else ""
        return EngineSetupError(
            f"{uri!r} names no {self.noun}, and none is assumed.{hint} There are: {self.help()}."
            f"{installed}"
        )

    def _meant(self, uri: str) -> str | None:
        """Guess which URI lacks its scheme: the end of ours, an address, a model of the hub."""
        names = [provider.name for provider in self.providers]
        if uri in (ends := {_path(name): name for name in reversed(names) if _path(name)}):
            return ends[uri]
        if uri.startswith(("http://", "https://")):
            scheme = "server"
        else:
            scheme = "hf" if "/" in uri and ":" not in uri else ""
        return f"{scheme}:{uri}" if scheme in names else None


def _path(uri: str) -> str:
    return uri.partition(":")[2]


def _options_of(opener: Callable[..., Any]) -> tuple[str, ...] | None:
    """Options of a plug-in: every parameter after the first but `uri`; None where it takes any."""
    try:
        _, *parameters = inspect.signature(opener).parameters.values()
    except (TypeError, ValueError):  # no function, or one that does not tell
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return tuple(parameter.name for parameter in parameters if parameter.name != "uri")


def _check_options(uri: str, options: Mapping[str, Any], accepted: tuple[str, ...] | None) -> None:
    unknown = [n for n in options if n == "uri" or (accepted is not None and n not in accepted)]
    if unknown:
        instead = f"it takes {', '.join(accepted)}" if accepted else "leave it out"
        raise EngineSetupError(f"{uri} takes no option {', '.join(unknown)}; {instead}.")
