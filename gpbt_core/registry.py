"""Finds plugins and turns names into objects; the only place that touches importlib.

pluggy's own loading silently drops the second of two equal entry-point names, and loses every result when one plugin
raises. This module therefore loads the entry points itself. A plugin that does not load is reported with its
distribution, and the others keep working. The names of gpbt itself are reserved: nobody else's offer replaces them.
"""

import difflib
import functools
import inspect
import warnings
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any, Literal, TypeVar

import attrs
import pluggy

from gpbt_core import hookspecs
from gpbt_core.controls import Controlled
from gpbt_core.early_stopping import EarlyStoppingSpec, GenerationStopping, Improvement, Quantile, TrialStopping
from gpbt_core.errors import ConfigError, PluginError
from gpbt_core.reproduction import Genealogical, Independent, Reproduction, ReproductionSpec, Truncation
from gpbt_core.searcher import Searcher, SearcherSpec

__all__ = ["Broken", "Kind", "Offer", "Registry", "registry", "resolve_rule"]

Kind = Literal["searcher", "reproduction", "early stopping"]
"""What a plugin can offer."""

Spec = SearcherSpec | ReproductionSpec | EarlyStoppingSpec
T = TypeVar("T")

_OWN = "gpbt"
"""The distribution whose names are reserved."""

_HOOKS: Mapping[str, tuple[Kind, type[Spec]]] = {
    "gpbt_searchers": ("searcher", SearcherSpec),
    "gpbt_reproductions": ("reproduction", ReproductionSpec),
    "gpbt_early_stoppings": ("early stopping", EarlyStoppingSpec),
}
_BUILT_IN: tuple[tuple[Kind, Spec], ...] = (
    (
        "reproduction",
        ReproductionSpec(name="genealogical", summary="the best trials become parents (GPBT)", build=Genealogical),
    ),
    (
        "reproduction",
        ReproductionSpec(
            name="controlled", summary="genealogical, with control lines that keep their config", build=Controlled
        ),
    ),
    (
        "reproduction",
        ReproductionSpec(name="truncation", summary="the worst trials copy the best ones (PBT)", build=Truncation),
    ),
    ("reproduction", ReproductionSpec(name="independent", summary="each line keeps its config", build=Independent)),
    (
        "early stopping",
        EarlyStoppingSpec(name="median", summary="stops trials that are worse than a quantile", build=Quantile),
    ),
    (
        "early stopping",
        EarlyStoppingSpec(
            name="improvement", summary="ends a generation once it has improved enough", build=Improvement
        ),
    ),
)


@attrs.frozen(kw_only=True)
class Offer:
    """Something that a plugin offers under a name.

    Attributes:
        kind: The kind of the offer.
        spec: The offer.
        distribution: The installed distribution that offers it, with its version; "registered by hand" without one.
    """

    kind: Kind
    spec: Spec
    distribution: str


@attrs.frozen(kw_only=True)
class Broken:
    """A plugin that could not be loaded.

    Attributes:
        entry_point: The name and value of its entry point.
        distribution: The distribution that it comes from.
        error: What went wrong.
    """

    entry_point: str
    distribution: str
    error: str


class Registry:
    """The plugins of one process.

    Most callers use the shared `registry()`; tests create their own.

    Args:
        entry_points: The entry points to load; None: those of the installed distributions.
    """

    def __init__(self, entry_points: Iterable[metadata.EntryPoint] | None = None) -> None:
        self._manager = pluggy.PluginManager("gpbt")
        self._manager.add_hookspecs(hookspecs)
        self._offers: dict[tuple[Kind, str], list[Offer]] = {}
        self._broken: list[Broken] = []
        self._left_out: list[Offer] = []
        self._reserved = {(kind, spec.name) for kind, spec in _BUILT_IN}
        for kind, spec in _BUILT_IN:
            self._offers[kind, spec.name] = [Offer(kind=kind, spec=spec, distribution=_title(_OWN))]
        points = metadata.entry_points(group="gpbt") if entry_points is None else entry_points
        for entry_point in sorted(points, key=lambda point: point.dist is None or point.dist.name != _OWN):
            self._load(entry_point)  # gpbt's own first, since their names are reserved

    @property
    def broken(self) -> tuple[Broken, ...]:
        """The plugins that did not load."""
        return tuple(self._broken)

    @property
    def left_out(self) -> tuple[Offer, ...]:
        """The offers of other plugins under names that gpbt itself has."""
        return tuple(self._left_out)

    def offers(self) -> tuple[Offer, ...]:
        """Everything on offer, by kind and name."""
        return tuple(offer for _, offers in sorted(self._offers.items(), key=lambda item: item[0]) for offer in offers)

    def register(self, plugin: object) -> None:
        """Registers a plugin by hand: an object or module with hook implementations.

        Warns:
            UserWarning: It offers a name that gpbt itself has; that offer is left out.

        Raises:
            PluginError: It implements no hook, or one that does not exist; a hook is not marked with `hookimpl`; or a
                hook raised or did not return specs.
        """
        self._add(plugin, "registered by hand")

    def event(self, event: object, optimizer: object) -> None:
        """Passes an event to every watcher; a watcher that raises causes a warning, and the others still get it."""
        for watcher in self._manager.hook.gpbt_event.get_hookimpls():
            try:
                wanted = {"event": event, "optimizer": optimizer}
                watcher.function(*(wanted[name] for name in watcher.argnames))
            except Exception as error:  # noqa: BLE001  # a watcher is third-party code and must not break the run
                warnings.warn(
                    f"gpbt_event: watcher {watcher.plugin_name} raised {error!r}; the run goes on", stacklevel=2
                )

    def searcher(self, name: str, options: Mapping[str, Any] | None = None) -> Searcher:
        """Builds a searcher by name. The part after a colon goes to the build function as `variant`.

        Raises:
            PluginError: No plugin offers the name, two plugins offer it, or its build failed.
        """
        head, colon, variant = name.partition(":")
        built = self._build("searcher", head, {**(options or {}), **({"variant": variant} if colon else {})})
        if not isinstance(built, Searcher):
            raise PluginError(
                f"searcher {name!r}: its build must return an object with propose(query, rng), got {built!r}"
            )
        return built

    def reproduction(self, name: str, options: Mapping[str, Any] | None = None) -> Reproduction:
        """Builds a reproduction rule by name.

        Raises:
            ConfigError: The rule does not accept these options.
            PluginError: No plugin offers the name, two plugins offer it, or its build failed.
        """
        built = self._build("reproduction", name, options or {})
        if not isinstance(built, Reproduction):
            raise PluginError(f"reproduction {name!r}: its build must return a reproduction rule, got {built!r}")
        return built

    def early_stopping(self, name: str, options: Mapping[str, Any] | None = None) -> TrialStopping | GenerationStopping:
        """Builds an early-stopping rule by name.

        Raises:
            ConfigError: The rule does not accept these options.
            PluginError: No plugin offers the name, two plugins offer it, or its build failed.
        """
        built = self._build("early stopping", name, options or {})
        if not isinstance(built, TrialStopping | GenerationStopping):
            raise PluginError(f"early stopping {name!r}: its build must return a stopping rule, got {built!r}")
        return built

    def _build(self, kind: Kind, name: str, options: Mapping[str, Any]) -> Any:
        offer = self._find(kind, name)
        try:
            return offer.spec.build(**options)
        except (ConfigError, PluginError):
            raise
        except TypeError as error:
            raise ConfigError(f"{kind} {name!r}: {_mistaken(offer.spec, options) or error}") from error
        except Exception as error:
            raise PluginError(f"{kind} {name!r} of {offer.distribution} could not be built: {error!r}") from error

    def _find(self, kind: Kind, name: str) -> Offer:
        found = self._offers.get((kind, name), [])
        if len(found) > 1:
            places = " and ".join(offer.distribution for offer in found)
            raise PluginError(f"{kind} {name!r} is offered twice, by {places}: uninstall one of them")
        if found:
            return found[0]
        names = sorted(known for k, known in self._offers if k == kind)
        close = difflib.get_close_matches(name, names, n=1)
        message = f"unknown {kind} {name!r}"
        message += f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(names)}"
        for broken in self._broken:
            message += f" (plugin {broken.entry_point} of {broken.distribution} did not load: {broken.error})"
        raise PluginError(message)

    def _load(self, entry_point: metadata.EntryPoint) -> None:
        distribution = entry_point.dist
        title = f"{distribution.name} {distribution.version}" if distribution else "an unknown distribution"
        try:
            self._add(entry_point.load(), title, own=distribution is not None and distribution.name == _OWN)
        except Exception as error:  # noqa: BLE001  # a third-party import can raise anything
            name = f"{entry_point.name} = {entry_point.value}"
            self._broken.append(Broken(entry_point=name, distribution=title, error=f"{type(error).__name__}: {error}"))
            warnings.warn(f"gpbt plugin {name} of {title} did not load and is left out: {error!r}", stacklevel=4)

    def _add(self, plugin: object, distribution: str, *, own: bool = False) -> None:
        if self._manager.is_registered(plugin):
            return
        try:
            self._manager.register(plugin)
            self._manager.check_pending()
            self._check_marks(plugin, distribution)
            found = [offer for hook in _HOOKS for offer in self._offered(plugin, hook, distribution)]
        except Exception as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            if isinstance(error, PluginError):
                raise
            if isinstance(error, pluggy.PluginValidationError):
                raise PluginError(
                    f"a plugin ({distribution}) implements a hook that does not exist, or with other arguments: {error}"
                ) from error
            raise PluginError(f"a hook of plugin {plugin!r} ({distribution}) raised {error!r}") from error
        for offer in found:
            key = offer.kind, offer.spec.name
            if own:
                self._reserved.add(key)
            if own or key not in self._reserved:
                self._offers.setdefault(key, []).append(offer)
                continue
            self._left_out.append(offer)
            warnings.warn(
                f"the {offer.kind} {offer.spec.name!r} of {distribution} is left out, because gpbt itself has one of "
                f"that name; offer it under another name",
                stacklevel=5,
            )

    def _check_marks(self, plugin: object, distribution: str) -> None:
        """Refuses a plugin without a hook, or with the name of a hook on a function that is not marked as one."""
        hooks = [*_HOOKS, "gpbt_event"]
        marked = {caller.name for caller in self._manager.get_hookcallers(plugin) or ()}
        unmarked = [
            hook
            for hook in hooks
            if hook not in marked and callable(found := getattr(plugin, hook, None)) and not hasattr(found, "gpbt_spec")
        ]
        if unmarked:
            raise PluginError(
                f"a plugin ({distribution}): {' and '.join(unmarked)} must be marked with @hookimpl, got no mark; "
                f"import hookimpl from gpbt"
            )
        if not marked:
            raise PluginError(
                f"a plugin ({distribution}): it must implement one of the hooks {', '.join(hooks)}, each marked with "
                f"@hookimpl of gpbt, got none in {plugin!r:.200}"
            )

    def _offered(self, plugin: object, hook: str, distribution: str) -> list[Offer]:
        kind, wanted = _HOOKS[hook]
        offers: list[Offer] = []
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin is not plugin:
                continue
            found = implementation.function()
            if not isinstance(found, Iterable):
                raise PluginError(f"{hook} of {distribution} must return a list of {wanted.__name__}, got {found!r}")
            for spec in found:
                if not isinstance(spec, wanted):
                    raise PluginError(f"{hook} of {distribution}: each offer must be a {wanted.__name__}, got {spec!r}")
                if not callable(spec.build):
                    raise PluginError(
                        f"{hook} of {distribution}: build of {spec.name!r} must be callable, such as the class itself, "
                        f"got {spec.build!r}"
                    )
                offers.append(Offer(kind=kind, spec=spec, distribution=distribution))
        return offers


def _mistaken(spec: Spec, options: Mapping[str, Any]) -> str | None:
    """A message that names an option that a build does not accept; None if no option was the cause."""
    known = _option_names(spec)
    for option in options:
        if known and option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            return f"{option!r} is not an option; " + (
                f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known)}"
            )
    return None


def _option_names(spec: Spec) -> list[str]:
    """The options of a build; if it passes on all keyword arguments, the options of the class that it returns."""
    signature = inspect.signature(spec.build)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
        try:
            signature = inspect.signature(type(spec.build()))
        except Exception:  # noqa: BLE001  # it needs options or has no signature, so there is nothing to suggest
            return []
    return [name for name, parameter in signature.parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]


def _title(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:  # run from a source tree
        return name


@functools.cache
def registry() -> Registry:
    """The registry that the whole process shares; the first call creates it and loads every plugin."""
    return Registry()


def resolve_rule(kind: Literal["reproduction", "early stopping"], name: str, options: Mapping[str, Any]) -> Any:
    """Builds a built-in rule or a plugin's rule by name.

    Raises:
        ConfigError: The rule does not accept these options.
        PluginError: The name is unknown, offered twice, or its build failed.
    """
    found = registry()
    return found.reproduction(name, options) if kind == "reproduction" else found.early_stopping(name, options)
