"""Plugins are found by name; one that is broken, or offers what another does, is named and harms no other."""

import sys
import types
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from gpbt_core import ConfigError, Improvement, PluginError, Quantile, Searcher, SearcherSpec, Truncation, hookimpl
from gpbt_core.early_stopping import EarlyStoppingSpec
from gpbt_core.registry import Registry, registry
from gpbt_core.reproduction import ReproductionSpec


class Uniform:
    """The simplest searcher."""

    def __init__(self, variant: str = "plain", scale: float = 1.0) -> None:
        self.variant, self.scale = variant, scale

    def propose(self, query: Any, rng: Any) -> Any:
        return query.space.sample(rng)


class Plugin:
    """Offers searchers under some names."""

    def __init__(self, *names: str, build: Any = Uniform) -> None:
        self.names, self.build = names, build

    @hookimpl
    def gpbt_searchers(self) -> list[SearcherSpec]:
        return [SearcherSpec(name=name, summary="uniform", build=self.build) for name in self.names]


class _Distribution(metadata.Distribution):
    def __init__(self, name: str) -> None:
        self._text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


@pytest.fixture
def modules() -> Iterator[dict[str, types.ModuleType]]:
    """Modules by name that can be imported for the length of a test."""
    before = set(sys.modules)
    yield sys.modules
    for name in set(sys.modules) - before:
        del sys.modules[name]


def installed(distribution: str, value: str, name: str = "plugin") -> metadata.EntryPoint:
    """An entry point as an installed distribution declares it."""
    point = metadata.EntryPoint(name=name, value=value, group="gpbt")
    vars(point)["dist"] = _Distribution(distribution)  # as a distribution does with its own
    return point


def module(name: str, **contents: Any) -> types.ModuleType:
    """A module with these contents."""
    made = types.ModuleType(name)
    vars(made).update(contents)
    return made


def searchers(*names: str) -> Any:
    """A module's hook that offers searchers under these names."""

    @hookimpl
    def gpbt_searchers() -> list[SearcherSpec]:
        return Plugin(*names).gpbt_searchers()

    return gpbt_searchers


# ------------------------------------------------------------------------------------------------------ what is found


def test_the_rules_of_the_core_are_on_offer_without_any_plugin() -> None:
    own = Registry([])
    assert {(offer.kind, offer.spec.name) for offer in own.offers()} == {
        ("reproduction", name) for name in ("genealogical", "truncation", "independent", *_more(own))
    } | {("early stopping", "median"), ("early stopping", "improvement")}
    assert own.reproduction("truncation", {"quantile": 0.5}) == Truncation(quantile=0.5)
    assert own.early_stopping("median") == Quantile()
    assert own.early_stopping("improvement", {"factor": 2.0}) == Improvement(factor=2.0)
    assert all(offer.distribution.startswith("gpbt") and offer.spec.summary for offer in own.offers())
    assert own.broken == ()


def _more(own: Registry) -> set[str]:
    """Rules that are built on the three: what they are called is their own business."""
    return {offer.spec.name for offer in own.offers() if offer.kind == "reproduction"} - {
        "genealogical",
        "truncation",
        "independent",
    }


def test_a_rule_is_offered_under_its_own_name() -> None:
    own = Registry([])
    for offer in own.offers():
        built: Any = offer.spec.build()
        assert built.name == offer.spec.name


def test_the_shared_registry_has_the_searchers_that_gpbt_ships() -> None:
    names = {offer.spec.name: offer.distribution for offer in registry().offers() if offer.kind == "searcher"}
    assert {"random", "sobol", "perturb", "tpe", "gp"} <= set(names)
    assert names["random"].startswith("gpbt ")
    assert registry() is registry()


def test_an_installed_plugin_is_found_with_its_distribution(modules: dict[str, types.ModuleType]) -> None:
    modules["stranger"] = module("stranger", gpbt_searchers=searchers("strange"))
    own = Registry([installed("gpbt-strange", "stranger")])
    (offer,) = [offer for offer in own.offers() if offer.kind == "searcher"]
    assert (offer.spec.name, offer.distribution) == ("strange", "gpbt-strange 1.0")
    assert isinstance(own.searcher("strange"), Uniform)
    assert isinstance(own.searcher("strange"), Searcher)


def test_options_and_a_variant_go_to_the_build() -> None:
    own = Registry([])
    own.register(Plugin("mine"))
    built = own.searcher("mine:bold", {"scale": 2.0})
    assert isinstance(built, Uniform)
    assert (built.variant, built.scale) == ("bold", 2.0)
    with pytest.raises(ConfigError, match=r"searcher 'mine': 'size' is not an option; it has "):
        own.searcher("mine", {"size": 2})


def test_a_misspelt_option_gets_a_suggestion() -> None:
    with pytest.raises(
        ConfigError, match=r"reproduction 'genealogical': 'survivor' is not an option; did you mean 'surv"
    ):
        registry().reproduction("genealogical", {"survivor": True})
    with pytest.raises(ConfigError, match=r"searcher 'gp': 'candidate' is not an option; did you mean 'candidates'\?"):
        registry().searcher("gp", {"candidate": 9})


def test_plugins_offer_rules_too() -> None:
    class Rules:
        @hookimpl
        def gpbt_reproductions(self) -> list[ReproductionSpec]:
            return [ReproductionSpec(name="half", summary="s", build=lambda: Truncation(quantile=0.5))]

        @hookimpl
        def gpbt_early_stoppings(self) -> list[EarlyStoppingSpec]:
            return [EarlyStoppingSpec(name="upper", summary="s", build=lambda: Quantile(quantile=0.9))]

    own = Registry([])
    own.register(Rules())
    assert own.reproduction("half") == Truncation(quantile=0.5)
    assert own.early_stopping("upper") == Quantile(quantile=0.9)


# ----------------------------------------------------------------------------------------------------- what is broken


def test_a_plugin_that_does_not_import_is_named_and_leaves_the_others_working(
    modules: dict[str, types.ModuleType],
) -> None:
    modules["good"] = module("good", gpbt_searchers=searchers("fine"))
    points = [installed("gpbt-bad", "no_such_module", name="bad"), installed("gpbt-good", "good")]
    message = r"gpbt plugin bad = no_such_module of gpbt-bad 1\.0 did not load and is left out: ModuleNotFoundError"
    with pytest.warns(UserWarning, match=message):
        own = Registry(points)
    (broken,) = own.broken
    assert (broken.entry_point, broken.distribution) == ("bad = no_such_module", "gpbt-bad 1.0")
    assert broken.error.startswith("ModuleNotFoundError: ")
    assert isinstance(own.searcher("fine"), Uniform)
    message = (
        r"unknown searcher 'bad'.*plugin bad = no_such_module of gpbt-bad 1\.0 did not load: ModuleNotFoundError: .*"
    )
    with pytest.raises(PluginError, match=message):
        own.searcher("bad")


def _raises() -> Any:
    raise ZeroDivisionError("in the hook")


def _answers(value: Any) -> Any:
    def hook() -> Any:
        return value

    return hookimpl(hook)


def _watches_something_else(evnt: Any) -> None:
    pass


@pytest.mark.parametrize(
    ("hooks", "error"),
    [
        ({"gpbt_searchers": hookimpl(_raises)}, r"raised ZeroDivisionError\('in the hook'\)"),
        ({"gpbt_searchers": _answers(None)}, "gpbt_searchers of .* must return a list of SearcherSpec, got None"),
        (
            {"gpbt_searchers": _answers(SearcherSpec(name="one", summary="", build=Uniform))},
            r"must return a list of SearcherSpec, got SearcherSpec\(name='one'",
        ),
        (
            {"gpbt_searchers": _answers([SearcherSpec(name="made", summary="", build=Uniform())])},  # type: ignore[arg-type]  # an instance
            "build of 'made' must be callable, such as the class itself, got <",
        ),
        ({"gpbt_searchers": _answers([Uniform()])}, "gpbt_searchers of .*: each offer must be a SearcherSpec, got <"),
        ({"gpbt_searcher": _answers([])}, "implements a hook that does not exist, or with .*: .*gpbt_searcher"),
        ({"gpbt_event": hookimpl(_watches_something_else)}, "(?s)or with other arguments: .*evnt"),
    ],
)
def test_a_plugin_whose_hooks_are_wrong_is_refused_whole(
    modules: dict[str, types.ModuleType], hooks: dict[str, Any], error: str
) -> None:
    contents = {"gpbt_searchers": searchers("half"), **hooks}
    modules["odd"] = module("odd", **contents)
    with pytest.warns(UserWarning, match=r"gpbt plugin plugin = odd of gpbt-odd 1\.0 did not load"):
        own = Registry([installed("gpbt-odd", "odd")])
    assert [offer for offer in own.offers() if offer.kind == "searcher"] == []
    with pytest.raises(PluginError, match=error):
        own.register(module("odd again", **contents))
    own.register(Plugin("fine"))  # what was refused left nothing behind
    assert isinstance(own.searcher("fine"), Uniform)
    own.event("event", None)


def test_two_offers_of_one_name_are_an_error_that_names_both(modules: dict[str, types.ModuleType]) -> None:
    modules["one"] = module("one", gpbt_searchers=searchers("same", "other"))
    modules["two"] = module("two", gpbt_searchers=searchers("same"))
    own = Registry([installed("gpbt-one", "one", name="x"), installed("gpbt-two", "two", name="x")])
    message = r"searcher 'same' is offered twice, by gpbt-one 1\.0 and gpbt-two 1\.0: uninstall one of them"
    with pytest.raises(PluginError, match=message):
        own.searcher("same")
    assert isinstance(own.searcher("other"), Uniform)


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_of_gpbt_itself_stays_its_own_with_one_warning_that_names_the_other(
    modules: dict[str, types.ModuleType], order: int
) -> None:
    modules["ours"] = module("ours", gpbt_searchers=searchers("gp"))
    modules["stranger"] = module("stranger", gpbt_searchers=searchers("gp", "strange"))
    points = [installed("gpbt", "ours"), installed("gpbt-strange", "stranger")][::order]
    message = r"^the searcher 'gp' of gpbt-strange 1\.0 is left out, because gpbt itself has one of that name; offer it"
    with pytest.warns(UserWarning, match=message) as caught:
        own = Registry(points)
    assert isinstance(own.searcher("gp"), Uniform)
    assert isinstance(own.searcher("strange"), Uniform)
    assert len(caught) == 1
    assert [offer.distribution for offer in own.offers() if offer.spec.name == "gp"] == ["gpbt 1.0"]
    assert [(offer.spec.name, offer.distribution) for offer in own.left_out] == [("gp", "gpbt-strange 1.0")]


def test_a_plugin_does_not_replace_a_rule_of_the_core() -> None:
    class Median:
        @hookimpl
        def gpbt_early_stoppings(self) -> list[EarlyStoppingSpec]:
            return [EarlyStoppingSpec(name="median", summary="s", build=lambda: Quantile(quantile=0.9))]

    own = Registry([])
    with pytest.warns(UserWarning, match=r"the early stopping 'median' of registered by hand is left out"):
        own.register(Median())
    assert own.early_stopping("median") == Quantile()


def test_a_forgotten_mark_is_reported_in_plain_words(modules: dict[str, types.ModuleType]) -> None:
    def gpbt_searchers() -> list[SearcherSpec]:
        return Plugin("forgotten").gpbt_searchers()

    def gpbt_event(event: Any) -> None:
        pass

    modules["whole"] = module("whole", gpbt_searchers=gpbt_searchers)
    modules["half"] = module("half", gpbt_searchers=searchers("marked"), gpbt_event=gpbt_event)
    modules["empty"] = module("empty", offers=[], hookimpl=hookimpl)
    points = [installed(f"gpbt-{name}", name) for name in ("whole", "half", "empty")]
    with pytest.warns(UserWarning, match="did not load and is left out"):
        own = Registry(points)
    assert [broken.error for broken in own.broken[:2]] == [
        f"PluginError: a plugin (gpbt-{name} 1.0): {hook} must be marked with @hookimpl, got no mark; import hookimpl "
        f"from gpbt"
        for name, hook in (("whole", "gpbt_searchers"), ("half", "gpbt_event"))
    ]
    assert "must implement one of the hooks gpbt_searchers, gpbt_reproductions, " in own.broken[2].error
    with pytest.raises(
        PluginError, match=r"unknown searcher 'forgotten'.* gpbt_searchers must be marked with @hookimpl"
    ):
        own.searcher("forgotten")


def test_an_unknown_name_gets_a_suggestion_or_the_known_ones() -> None:
    own = Registry([])
    own.register(Plugin("random", "tpe"))
    with pytest.raises(PluginError, match=r"unknown searcher 'randon'; did you mean 'random'\?$"):
        own.searcher("randon")
    with pytest.raises(PluginError, match=r"unknown searcher 'xyz'; known are random, tpe$"):
        own.searcher("xyz")
    with pytest.raises(PluginError, match=r"unknown reproduction 'genealogic'; did you mean 'genealogical'\?"):
        own.reproduction("genealogic")


def test_a_build_that_raises_or_makes_no_searcher_is_named() -> None:
    own = Registry([])
    own.register(Plugin("broken", build=lambda: 1 / 0))
    own.register(Plugin("nothing", build=lambda: None))
    with pytest.raises(PluginError, match="searcher 'broken' of registered by hand could not be built: ZeroDivision"):
        own.searcher("broken")
    with pytest.raises(PluginError, match=r"searcher 'nothing': its build must return an object .*, got None$"):
        own.searcher("nothing")


def test_a_build_s_own_errors_come_through() -> None:
    def build() -> Any:
        raise ConfigError("mine: expected more")

    own = Registry([])
    own.register(Plugin("mine", build=build))
    with pytest.raises(ConfigError, match=r"^mine: expected more$"):
        own.searcher("mine")


def test_a_plugin_registered_twice_offers_once() -> None:
    own, plugin = Registry([]), Plugin("mine")
    own.register(plugin)
    own.register(plugin)
    assert isinstance(own.searcher("mine"), Uniform)


# ----------------------------------------------------------------------------------------------------------- watchers


def test_each_watcher_sees_each_event_with_the_arguments_it_wants() -> None:
    seen: list[Any] = []

    class Both:
        @hookimpl
        def gpbt_event(self, event: Any, optimizer: Any) -> None:
            seen.append((event, optimizer))

    class One:
        @hookimpl
        def gpbt_event(self, optimizer: Any) -> None:
            seen.append(optimizer)

    own = Registry([])
    own.register(Both())
    own.register(One())
    own.event("an event", "an optimizer")
    assert sorted(map(str, seen)) == ["('an event', 'an optimizer')", "an optimizer"]


def test_a_watcher_that_raises_is_warned_of_and_keeps_nothing_from_the_others() -> None:
    seen: list[Any] = []

    class Bad:
        @hookimpl
        def gpbt_event(self, event: Any) -> None:
            raise ZeroDivisionError(event)

    class Good:
        @hookimpl
        def gpbt_event(self, event: Any) -> None:
            seen.append(event)

    own = Registry([])
    for plugin in (Good(), Bad(), Good()):
        own.register(plugin)
    with pytest.warns(UserWarning, match=r"gpbt_event: watcher .* raised ZeroDivisionError\('e'\); the run goes on"):
        own.event("e", None)
    assert seen == ["e", "e"]
