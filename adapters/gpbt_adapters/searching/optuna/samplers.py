"""Which of Optuna's samplers can be used, how to create them by name, and how to prepare a copy for a proposal.

Every proposal is a function of the history and the generator: a sampler keeps nothing from one to the next. Samplers
that depend on their own memory are refused, and the error names the equivalent in gpbt.
"""

import copy
import difflib
import importlib.util
import inspect
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, PartialFixedSampler

from gpbt_adapters.searching.optuna.distributions import dimensions
from gpbt_adapters.searching.optuna.quiet import quiet
from gpbt_core.errors import ConfigError, UnsupportedSpaceError
from gpbt_core.space import Space

__all__ = ["checked", "prepared", "sampler_named"]

_REFUSED: Mapping[str, str] = {
    "CmaEsSampler": "it takes no notice of trials that it did not propose itself; use the searcher 'cmaes', which "
    "starts CMA-ES from the history",
    "QMCSampler": "it proposes the first point of its sequence to every fresh study; use the searcher 'sobol', which "
    "takes the point of the slot",
    "GridSampler": "it deals the cells of its grid to the trials of one study; use the searcher 'sobol', or "
    "optuna:BruteForceSampler in a space of steps and categories",
}


def sampler_named(variant: str | None, options: Mapping[str, Any]) -> BaseSampler:
    """A sampler from the part behind the colon of "optuna:NAME".

    Args:
        variant: A class of `optuna.samplers`; None: none was named.
        options: For its constructor.

    Raises:
        ConfigError: There is no such sampler, it cannot be used, or its constructor does not take these options.
        ImportError: It needs PyTorch, which is not installed.

    Examples:
        >>> type(sampler_named("TPESampler", {"n_startup_trials": 5})).__name__
        'TPESampler'
    """
    known = [name for name in _classes() if name not in _REFUSED]
    if variant is None:
        raise ConfigError(f"searcher 'optuna' must name a sampler behind a colon, one of {_list(known)}, got none")
    who = f"searcher 'optuna:{variant}'"
    if variant in _REFUSED:
        raise ConfigError(f"{who} cannot be used: {_REFUSED[variant]}")
    if variant not in known:
        close = difflib.get_close_matches(variant, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"it must be one of {_list(known)}"
        raise ConfigError(f"{who} is no sampler of optuna.samplers: {hint}")
    if "seed" in options:
        raise ConfigError(
            f"{who}: seed must be left out, got {options['seed']!r}: each proposal is seeded by the run's seed"
        )
    if variant == "GPSampler" and importlib.util.find_spec("torch") is None:
        raise ImportError(f'{who} needs PyTorch, which is not installed: pip install "gpbt[torch]"')
    try:
        with quiet():
            sampler: BaseSampler = _classes()[variant](**options)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{who}: the options must be those of its constructor, got {dict(options)!r}: {error}"
        ) from error
    return checked(sampler)


def checked(sampler: object) -> BaseSampler:
    """The sampler, if it and those inside it can be used.

    Raises:
        ConfigError: They cannot, one has constraints, or it is no sampler.
    """
    if not isinstance(sampler, BaseSampler):
        raise ConfigError(
            f"OptunaSearcher: sampler must be an instance, such as optuna.samplers.TPESampler(), got {sampler!r}"
        )
    for part in _parts(sampler):
        reasons = [_REFUSED[kind.__name__] for kind in type(part).__mro__ if kind.__name__ in _REFUSED]
        if reasons and isinstance(part, BaseSampler):
            raise ConfigError(f"OptunaSearcher: {type(part).__name__} cannot be used: {reasons[0]}")
        if getattr(part, "_constraints_func", None) is not None:  # Optuna calls it when a result is told
            raise ConfigError(
                f"OptunaSearcher: the sampler must have no constraints, got {type(part).__name__} with a "
                "constraints_func, which would never be called; leave it out and fail the trials that break a "
                "constraint: Optimizer.fail(trial.id, why)"
            )
    return sampler


def prepared(sampler: BaseSampler, space: Space, rng: np.random.Generator) -> BaseSampler:
    """A copy of a sampler whose every source of randomness follows from `rng`, and whose fixed values are Optuna's.

    Optuna seeds a sampler only when it is made, and afterwards from the system's entropy. So the sources are looked for
    in the copy: numpy's and Python's generators, wherever the sampler holds them.

    Args:
        sampler: The sampler, which is not changed.
        space: The search space.
        rng: The source of seeds.

    Raises:
        UnsupportedSpaceError: A `PartialFixedSampler` fixes a value outside the space.
    """
    made = copy.deepcopy(sampler)
    for part in _parts(made):
        if isinstance(part, PartialFixedSampler):
            part._fixed_params = _fixed(part._fixed_params, space)  # noqa: SLF001 - of a copy; there is no other way
        state = getattr(part, "rng", part)  # Optuna's lazy generators are created on access
        if isinstance(state, np.random.RandomState):
            state.seed(rng.integers(2**32, size=4))
        elif isinstance(state, np.random.Generator):
            state.bit_generator.state = type(state.bit_generator)(rng.integers(2**32, size=4)).state
        elif isinstance(state, random.Random):
            state.seed(int(rng.integers(2**63)))
    return made


def _fixed(values: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Values of the space's parameters as those of Optuna's distributions."""
    found = {}
    for name, value in values.items():
        if name not in space.parameters:
            raise UnsupportedSpaceError(
                f"PartialFixedSampler: names must be among {list(space.names)}, got {name!r}; correct it"
            )
        try:
            ours = Space({name: space.parameters[name]}).validate({name: value})[name]
        except ConfigError as error:
            raise UnsupportedSpaceError(f"PartialFixedSampler: {error}; fix it at a value that it can take") from None
        found[name] = dimensions(space)[name].to_optuna(ours)
    return found


def _classes() -> dict[str, type[BaseSampler]]:
    """Optuna's samplers by name, without the abstract ones."""
    found = {name: getattr(optuna.samplers, name) for name in optuna.samplers.__all__}
    return {
        name: kind
        for name, kind in found.items()
        if inspect.isclass(kind) and issubclass(kind, BaseSampler) and not inspect.isabstract(kind)
    }


def _parts(sampler: BaseSampler) -> Iterator[object]:
    """A sampler and all objects that it holds, each once, in the order in which it holds them."""
    seen: set[int] = set()
    waiting: list[object] = [sampler]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or inspect.isclass(part) or inspect.isroutine(part) or inspect.ismodule(part):
            continue
        seen.add(id(part))
        yield part
        inside = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
        waiting.extend(reversed([*inside, *getattr(part, "__dict__", {}).values()]))


def _list(names: list[str]) -> str:
    return ", ".join(sorted(names))
