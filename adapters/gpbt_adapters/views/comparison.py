"""Two or more runs side by side; repeats of the same settings with other seeds are one group, and groups are paired."""

import html
import itertools
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import attrs
import numpy as np
import numpy.typing as npt

from gpbt_adapters.views.columns import Floats, Ints, Run, sign_of, state_of
from gpbt_adapters.views.findings import amount
from gpbt_adapters.views.lines import Axis, Line, merged_axes, schedules
from gpbt_adapters.views.summary import overview
from gpbt_adapters.views.time import times
from gpbt_adapters.views.words import duration, number, printable
from gpbt_core.errors import ConfigError
from gpbt_core.records import Status
from gpbt_core.state import State

__all__ = ["Compared", "Comparison", "Group", "Pairing", "compare"]

ENOUGH = 6
"""The minimum number of pairs for a test: with fewer, even if all are won, p is above 5%."""


@attrs.frozen(kw_only=True, eq=False)
class Compared:
    """One of the runs.

    Attributes:
        name: Its name.
        group: The place of its group.
        seed: Its seed.
        finished: Whether it has ended.
        trials: The number of its trials.
        best: The id of its best trial; None if no trial is completed.
        score: The score of the best trial; NaN if there is none.
        steps: The steps trained.
        wall: Seconds from start to end, without pauses; NaN if nobody noted times.
        training: Seconds of workers for training; NaN likewise.
        line: The best schedule; None if there is none.
        trained: Shape (k,): the steps that the run had trained, in the order of the slots, each time that its best
            score improved, and at the end.
        scores: Shape (k,): the best score then.
    """

    name: str
    group: int
    seed: int
    finished: bool
    trials: int
    best: int | None
    score: float
    steps: int
    wall: float
    training: float
    line: Line | None
    trained: Ints
    scores: Floats


@attrs.frozen(kw_only=True)
class Group:
    """Runs with the same settings except the seed.

    Attributes:
        name: What the names of its runs have in common.
        runs: The places of its runs.
        mean: The mean of their best scores; NaN if there is none.
        spread: Their sample standard deviation; NaN for fewer than two.
    """

    name: str
    runs: tuple[int, ...]
    mean: float
    spread: float


@attrs.frozen(kw_only=True)
class Pairing:
    """Two groups, paired by the seeds that both have.

    Attributes:
        first: The place of the first group.
        second: The place of the second group.
        pairs: The number of pairs.
        won: The number of pairs in which the first has the better score.
        lost: The number of pairs in which the second has.
        gain: By how much the first is better on average; negative if it is worse.
        p: The two-sided p-value of Wilcoxon's signed-rank test; NaN for fewer than six pairs.
    """

    first: int
    second: int
    pairs: int
    won: int
    lost: int
    gain: float
    p: float


@attrs.frozen(kw_only=True, eq=False)
class Comparison:
    """Runs side by side. `print` shows a table; notebooks, too.

    Attributes:
        direction: "minimize" or "maximize", the same for all.
        runs: The runs.
        groups: The groups of runs with the same settings except the seed.
        pairings: Each two groups with at least two seeds in common.
        axes: How to draw the values of each hyperparameter of any of the runs.
    """

    direction: str
    runs: tuple[Compared, ...]
    groups: tuple[Group, ...]
    pairings: tuple[Pairing, ...]
    axes: tuple[Axis, ...]

    @property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The runs as headings and rows of text."""
        headings = ["study", "best score", "trial", "steps", "trials", "seed", "time", "training", "status"]
        rows = [
            [
                printable(run.name),
                number(run.score),
                "-" if run.best is None else str(run.best),
                f"{run.steps:,}",
                f"{run.trials:,}",
                str(run.seed),
                _time(run.wall),
                _time(run.training),
                "finished" if run.finished else "not finished",
            ]
            for run in self.runs
        ]
        timed = any(not math.isnan(run.wall) for run in self.runs)
        keep = [i for i, name in enumerate(headings) if timed or name not in {"time", "training"}]
        return [headings[i] for i in keep], [[row[i] for i in keep] for row in rows]

    @property
    def group_table(self) -> tuple[list[str], list[list[str]]]:
        """The groups as headings and rows of text; no rows if no settings were repeated."""
        if all(len(group.runs) < 2 for group in self.groups):
            return [], []
        rows = [
            [printable(group.name), str(len(group.runs)), amount(group.mean), amount(group.spread)]
            for group in self.groups
        ]
        return ["settings", "runs", "mean best score", "standard deviation"], rows

    @property
    def told(self) -> tuple[str, ...]:
        """The pairings as sentences."""
        return tuple(map(self._told, self.pairings))

    def __str__(self) -> str:
        parts = [_text(*self.table)]
        if self.group_table[1]:
            parts.append(_text(*self.group_table))
        return "\n\n".join([*parts, *(["\n".join(self.told)] if self.told else [])])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        parts = [_html(*self.table), _html(*self.group_table), *(f"<p>{html.escape(said)}</p>" for said in self.told)]
        return f"<div>{''.join(parts)}</div>"

    def _told(self, one: Pairing) -> str:
        first, second = (printable(self.groups[place].name) for place in (one.first, one.second))
        ties = one.pairs - one.won - one.lost
        drawn = f", {ties} equal" if ties else ""
        better = "better" if one.gain >= 0 else "worse"
        said = f"{first} against {second}: {one.won} of {one.pairs} pairs won{drawn}"
        said += f", {amount(abs(one.gain))} {better} on average"
        if math.isnan(one.p):
            return f"{said} (too few pairs for a test)."
        return f"{said} (Wilcoxon p = {one.p:.2g})."


def compare(runs: Mapping[str, Run] | Sequence[Run]) -> Comparison:
    """Compares two or more runs: best scores, steps, times and schedules.

    Runs with the same settings except the seed are repeats: they form a group, which has a mean and a spread. Groups
    that have seeds in common are paired by them.

    Args:
        runs: The runs by name, or in a sequence, in which a study has its name and others are numbered from 1. Finished
            or not, all with the same direction.

    Raises:
        ConfigError: There are fewer than two runs, or their directions differ.

    Examples:
        >>> from gpbt import Float, Optimizer, Space
        >>> runs = {}
        >>> for seed in (1, 2):
        ...     run = Optimizer(Space(rate=Float(0, 1)), population=2, steps=1, seed=seed, preset="random")
        ...     for trial in run.ask(2):
        ...         run.tell(trial, seed / 8)
        ...     runs[f"run {seed}"] = run
        >>> print(compare(runs))
        study  best score  trial  steps  trials  seed  status
        run 1  0.125       0      2      2       1     finished
        run 2  0.25        0      2      2       2     finished
        <BLANKLINE>
        settings  runs  mean best score  standard deviation
        run       2     0.188            0.0884
    """
    named = dict(runs) if isinstance(runs, Mapping) else _named(runs)
    if len(named) < 2:
        raise ConfigError(f"compare: runs must be at least two, got {len(named)}")
    states = {name: state_of(run) for name, run in named.items()}
    directions = {name: state.settings.direction for name, state in states.items()}
    if len(set(directions.values())) > 1:
        raise ConfigError(f"compare: all runs must have the same direction, got {directions}")
    groups = _groups(states)
    places = {name: place for place, names in enumerate(groups) for name in names}
    compared = tuple(_compared(name, state, places[name]) for name, state in states.items())
    by_name = {run.name: i for i, run in enumerate(compared)}
    members = [tuple(by_name[name] for name in names) for names in groups]
    labels = _labels(groups)
    return Comparison(
        direction=next(iter(directions.values())),
        runs=compared,
        groups=tuple(_group(label, runs, compared) for label, runs in zip(labels, members, strict=True)),
        pairings=tuple(_pairings(members, compared, sign_of(next(iter(states.values()))))),
        axes=merged_axes([state.settings.space for state in states.values()]),
    )


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    named: dict[str, Run] = {}
    for place, run in enumerate(runs, 1):
        name = str(getattr(run, "name", f"run {place}"))
        named[name if name not in named else f"{name} ({place})"] = run
    return named


def _groups(states: Mapping[str, State]) -> list[list[str]]:
    """The names of the runs whose settings differ at most in the seed."""
    groups: list[tuple[object, list[str]]] = []
    for name, state in states.items():
        key = (attrs.evolve(state.settings, seed=0), state.settings.search)
        for known, names in groups:
            if known == key:
                names.append(name)
                break
        else:
            groups.append((key, [name]))
    return [names for _, names in groups]


def _labels(groups: Sequence[Sequence[str]]) -> list[str]:
    """What the names of each group have in common, without a dangling end; its first name where that is not unique."""
    found = [names[0] if len(names) == 1 else _prefix(names) for names in groups]
    return [
        label if label and found.count(label) == 1 else f"{names[0]}, …" if len(names) > 1 else names[0]
        for label, names in zip(found, groups, strict=True)
    ]


def _prefix(names: Sequence[str]) -> str:
    """The start that names share, without what usually leads to a seed."""
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same).rstrip(" -_./=(0").removesuffix("seed").rstrip(" -_./=(,:;")


def _compared(name: str, state: State, group: int) -> Compared:
    seen, view = overview(state), times(state)
    sign = sign_of(state)
    trained, scores = [], []
    steps, best = 0, math.inf
    for record in state.records:
        steps += record.steps
        if record.loss is not None and record.status is Status.COMPLETED and record.loss < best:
            best = record.loss
            trained.append(steps)
            scores.append(sign * best + 0.0)
    if scores and trained[-1] < steps:
        trained.append(steps)
        scores.append(scores[-1])
    return Compared(
        name=name,
        group=group,
        seed=seen.seed,
        finished=seen.finished,
        trials=len(state.records),
        best=seen.best,
        score=seen.score,
        steps=seen.steps,
        wall=view.wall if view.known else math.nan,
        training=float(view.training.sum()) if view.known else math.nan,
        line=schedules(state, most=0).best,
        trained=np.array(trained, dtype=np.int64),
        scores=np.array(scores, dtype=np.float64),
    )


def _group(name: str, members: tuple[int, ...], runs: Sequence[Compared]) -> Group:
    scores = [runs[i].score for i in members if not math.isnan(runs[i].score)]
    return Group(
        name=name,
        runs=members,
        mean=statistics.fmean(scores) if scores else math.nan,
        spread=statistics.stdev(scores) if len(scores) > 1 else math.nan,
    )


def _pairings(groups: Sequence[tuple[int, ...]], runs: Sequence[Compared], sign: float) -> Iterable[Pairing]:
    for first, second in itertools.combinations(range(len(groups)), 2):
        one, other = (_by_seed([runs[i] for i in groups[place]]) for place in (first, second))
        gains = np.array([sign * (other[seed] - one[seed]) for seed in one if seed in other])
        if len(gains) > 1:
            yield Pairing(
                first=first,
                second=second,
                pairs=len(gains),
                won=int((gains > 0).sum()),
                lost=int((gains < 0).sum()),
                gain=float(gains.mean()),
                p=_p(gains),
            )


def _by_seed(runs: Iterable[Compared]) -> dict[int, float]:
    """The mean best score for each seed."""
    scores: dict[int, list[float]] = {}
    for run in runs:
        if not math.isnan(run.score):
            scores.setdefault(run.seed, []).append(run.score)
    return {seed: statistics.fmean(found) for seed, found in scores.items()}


def _p(gains: npt.NDArray[np.float64]) -> float:
    if len(gains) < ENOUGH:
        return math.nan
    if not gains.any():
        return 1.0
    from scipy.stats import wilcoxon

    return float(wilcoxon(gains).pvalue)


def _time(seconds: float) -> str:
    return "-" if math.isnan(seconds) else duration(seconds)


def _text(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [headings, *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _html(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    cells = [[f"<th>{html.escape(name)}</th>" for name in headings]]
    cells += [[f"<td>{html.escape(cell)}</td>" for cell in row] for row in rows]
    lines = ["".join(["<tr>", *row, "</tr>"]) for row in cells]
    return f"<table>{''.join(lines)}</table>"
