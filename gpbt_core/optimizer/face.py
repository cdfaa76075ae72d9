"""The public face: ask for trials, tell results; a thin wrapper around one State.

Every call first computes its events and the state after them, then applies them in `_commit`, the only place where an
optimizer changes. One thread owns an optimizer; only the training is concurrent.
"""

import enum
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Self, SupportsFloat, TypedDict, Unpack

import attrs

from gpbt_core import genealogy, presets
from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.errors import ConfigError, ExtinctError, NoResultError, ProtocolError
from gpbt_core.numbers import plain, whole
from gpbt_core.optimizer.arguments import (
    controlled,
    id_and_attempt,
    id_of,
    last_report,
    noted,
    number,
    resolved,
    rule,
    selecting,
    stopping_rule,
)
from gpbt_core.optimizer.known import known
from gpbt_core.optimizer.needs import Needs, needs_of
from gpbt_core.optimizer.results import Results
from gpbt_core.optimizer.search import Searchers, propose, search_from_dict, search_to_dict
from gpbt_core.persistent import Vector
from gpbt_core.presets import PresetName
from gpbt_core.records import Record, Schedule, Status, Trial, Verdict
from gpbt_core.reproduction import Reproduction
from gpbt_core.searcher import Search, Searcher, SearcherChoice
from gpbt_core.space import Config, Space
from gpbt_core.space.parameters import alike
from gpbt_core.state import (
    ENDED,
    MOST_MODELS,
    MOST_STEPS,
    Asked,
    Cancelled,
    Event,
    Extended,
    Order,
    Reported,
    Requeued,
    Settings,
    State,
    Tally,
    Told,
    happen,
    initial,
    next_order,
    replay,
)

__all__ = ["Best", "Optimizer", "RunSettings"]


class _Preset(enum.Enum):
    """Stands for the choice of the preset, where None means "none"."""

    ITS_OWN = "the preset's"


ITS_OWN: Final = _Preset.ITS_OWN
Choice = str | tuple[str, Mapping[str, Any]]
Direction = Literal["minimize", "maximize"]


class RunSettings(TypedDict, total=False):
    """The arguments of an `Optimizer` beside its space, for those who pass them on; see there."""

    population: int
    steps: int
    direction: Direction
    seed: int
    known_configs: Sequence[Mapping[str, Any]]
    max_concurrent: int
    quorum: float
    preset: PresetName
    searcher: Choice | Searcher | Search | None
    reproduction: Choice | Reproduction | None
    select_by: str | None
    controls: int
    trial_stopping: Choice | TrialStopping | Literal[False, _Preset.ITS_OWN] | None
    generation_stopping: Choice | GenerationStopping | Literal[False, _Preset.ITS_OWN] | None


@attrs.frozen(kw_only=True)
class Best:
    """The best result of a run.

    Attributes:
        trial: The completed trial with the best score, the earliest if several are equal; or the one preferred by
            the selection rule.
        score: Its score.
        schedule: The configs along its lineage.
    """

    trial: Trial
    score: float
    schedule: Schedule


class Optimizer:
    """Finds a schedule of hyperparameters while the models train.

    The budget is population x steps. The result depends on the seed, the settings and the scores. It does not
    depend on the number of workers or on which trial finishes first, except with a `quorum` below 1.

    Examples:
        >>> from gpbt_core import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(rate=Float(0.01, 1, log=True)), population=4, steps=3, preset="random", seed=1)
        >>> x = {None: 8.0}
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask(count=2):
        ...         x[trial.id] = x[trial.parent] * (1 - trial.config["rate"]) ** trial.steps
        ...         optimizer.tell(trial, x[trial.id])
        >>> optimizer.best.score < 8
        True
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int = 25,
        steps: int,
        direction: Direction = "minimize",
        seed: int = 0,
        known_configs: Sequence[Mapping[str, Any]] = (),
        max_concurrent: int = 4,
        quorum: float = 1.0,
        preset: PresetName = "gpbt",
        searcher: Choice | Searcher | Search | None = None,
        reproduction: Choice | Reproduction | None = None,
        select_by: str | None = None,
        controls: int = 0,
        trial_stopping: Choice | TrialStopping | Literal[False, _Preset.ITS_OWN] | None = ITS_OWN,
        generation_stopping: Choice | GenerationStopping | Literal[False, _Preset.ITS_OWN] | None = ITS_OWN,
    ) -> None:
        """Starts a run.

        Only `space` and `steps` are required. The other arguments form three groups: the definition of the run
        (`population` to `known_configs`), its use of workers (`max_concurrent`, `quorum`) and the set-up. A `preset`
        chooses the whole set-up, and each further argument replaces one part of it.

        Args:
            space: What to tune.
            population: n, the number of models, from 1 to 1,000,000. The run trains n x T steps. Where trials stop
                early or fail, the slots that are opened with their steps may add up to half a segment per generation.
                `needs` says how many trials, steps and checkpoints it takes.
            steps: T, the steps per model, from 1 to 10,000,000.
            direction: Whether low or high scores are better.
            seed: The seed, at least 0.
            known_configs: Configs to start from, each a dict from names to values. They take the first slots of
                generation 0, in their order, so there can be as many as generation 0 has slots. The
                searcher of the slot fills in missing values.
            max_concurrent: m, at least 1: how many slots may be in training concurrently without the result depending
                on the workers. About twice the number of workers keeps them busy.
            quorum: In (0, 1]. Below 1 the next generation opens once this share of the asked trials is told and nothing
                else can be asked: faster, but the result then depends on which trials finish first.
            preset: The set-up: one of `PRESETS`. With about as many workers as models, use "steady".
            searcher: Who proposes configs: a name, (name, options) or an object with `propose`, with the founders and
                the history of the preset; or a `Search`, which replaces these, too. None: the preset's.
            reproduction: Which trials become parents, and of how many children: a name, (name, options) or a rule.
                None: the preset's.
            select_by: What parents and the final model are selected by: "score", or the name of a rule that takes the
                options of "genealogical" and ranks otherwise, such as "posterior", which ranks noisy scores by the
                model of `gp`. None: what the reproduction rule selects by.
            controls: The number of control lines: the first founders, which keep their configs to the end and show what
                constant configs give. They are part of the budget, each takes one slot of each generation, and they
                need a genealogical rule. At least 0.
            trial_stopping: Which trials stop early: a name such as "median", (name, options) or a rule. None or False:
                none. Trials of revisions never stop early.
            generation_stopping: Which generations end early, likewise. Those of revisions never do.

        Raises:
            ConfigError: An argument is of the wrong type or out of its range, or options do not fit a rule.
            PluginError: A name is unknown, offered twice, or cannot be built; or the reproduction rule is faulty.
        """
        chosen = presets.preset(preset)
        population, steps = whole("population", population, 1, MOST_MODELS), whole("steps", steps, 1, MOST_STEPS)
        begets = rule("reproduction", chosen.rule(population, steps) if reproduction is None else reproduction)
        begets = controlled(begets if select_by is None else selecting(begets, select_by), controls)
        settings = Settings(
            space=space,
            population=population,
            steps=steps,
            direction=direction,
            seed=seed,
            max_concurrent=max_concurrent,
            quorum=quorum,
            reproduction=begets,
            trial_stopping=stopping_rule(
                "trial_stopping", chosen.trial_stopping if trial_stopping is ITS_OWN else trial_stopping
            ),
            generation_stopping=stopping_rule(
                "generation_stopping",
                chosen.generation_stopping if generation_stopping is ITS_OWN else generation_stopping,
            ),
            search=_search(chosen.search(population), searcher, known_configs),
        )
        self._start(initial(settings))

    def _start(self, state: State) -> None:
        """Starts from `state`, with no events yet."""
        settings = state.settings
        if settings.search is None:
            raise ConfigError(
                "from_state: the state does not say who proposes its configs, as it was stored without; give the "
                "search that the run was started with, such as another optimizer's `search`"
            )
        self._searchers = Searchers.of(settings.search)
        slots = len(state.open.plan.slots if state.open.index == 0 else state.closed[0].plan.slots)
        configs = known(settings.space, settings.search.known_configs, slots)
        if not all(map(alike, configs, settings.search.known_configs)):
            search = attrs.evolve(settings.search, known_configs=configs)
            state = attrs.evolve(state, settings=attrs.evolve(settings, search=search))
        self._state, self._events = state, Vector[Event]()
        self._seen = 0  # how many of state.released the caller has received

    # ------------------------------------------------------------------------------------------------------ the loop

    def ask(self, count: int = 1) -> tuple[Trial, ...]:
        """The next trials to train, at most `count` (at least 1).

        Returns:
            Fewer than `count`, or none, if the next trial depends on results that have not been told, or if the run has
            no more trials; `finished` distinguishes the two. Requeued trials come first.

        Raises:
            ConfigError: `count` is not a whole number of at least 1.
            SearcherError: The searcher raised, or proposed a config that is not in the space; nothing was asked.
            ProtocolError: Another thread, or a searcher that calls back, changed the run meanwhile; nothing was asked.
        """
        count = whole("ask: count", count, 1)
        before = state = self._state
        asked: list[Event] = []
        trials: list[Trial] = []
        while len(trials) < count and (trial := self._next(state)) is not None:
            state, happened = happen(state, Asked(trial=trial))
            asked += happened
            trials.append(trial)
        self._commit(before, state, asked)
        return tuple(trials)

    def report(self, trial: Trial | int, step: int, score: SupportsFloat) -> Verdict:
        """Records the score of a running trial after a step.

        Args:
            trial: The trial, or its id.
            step: Within its segment, from 1 to `trial.steps`, rising with each report; steps may be left out.
            score: In the direction of the run. NaN and infinity count as worse than everything.

        Returns:
            STOP if it is to end here: the next call for it is `tell` with this score (`tell(trial)` will do).

        Raises:
            ConfigError: The score is not a number.
            ProtocolError: The trial is unknown, has ended, was requeued or told to stop; or the step is not its next.
            ProtocolError: `trial` was requeued, and another worker now trains it.
        """
        trial_id, attempt = id_and_attempt(trial)
        value = number("report", trial_id, score)
        loss = self._loss(value) if math.isfinite(value) else math.inf
        step = whole("report: step", step)
        state = self._happen(Reported(trial_id=trial_id, step=step, loss=loss, attempt=attempt))
        stopping = state.records[trial_id].status is Status.STOPPING
        return Verdict.STOP if stopping else Verdict.CONTINUE

    def tell(
        self,
        trial: Trial | int,
        score: SupportsFloat | None = None,
        *,
        steps: int | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Ends a trial with its score.

        Args:
            trial: The trial, or its id.
            score: In the direction of the run; NaN or infinity: the trial failed. None: the last reported score, which
                must be that of the last step.
            steps: How many steps of the segment the trial trained, if you end the segment early on purpose: at least
                as many as it reported, at most `trial.steps`. The trial still counts as completed, and its children
                continue from that step. None: all steps, or those reported when `report` answered STOP.
            notes: Facts to keep with the trial's record, JSON-able; no decision depends on them. Plots and loggers
                show the numbers in `notes["figures"]`, such as a training loss.

        Raises:
            ConfigError: The score is not a number, or `notes` is no mapping that JSON can hold.
            ProtocolError: The trial is unknown or has ended.
            ProtocolError: No score is given, and the trial did not report the score of its last step.
            ProtocolError: `steps` is not a number of steps that the trial can have trained.
            ProtocolError: `trial` was requeued, and another worker now trains it.
        """
        trial_id, attempt = id_and_attempt(trial)
        steps, kept = plain(steps), noted("tell", trial_id, notes)
        if score is None:
            loss = last_report(self._state.records, trial_id, steps)
            value = loss
        else:
            value = number("tell", trial_id, score)
            loss = self._loss(value)
        if math.isfinite(value):
            self._happen(Told(trial_id=trial_id, loss=loss, steps=steps, attempt=attempt, notes=kept))
        else:
            reason = f"its score is {value}"
            told = Told(trial_id=trial_id, loss=None, reason=reason, steps=steps, attempt=attempt, notes=kept)
            self._happen(told)

    def fail(self, trial: Trial | int, reason: str | BaseException, *, notes: Mapping[str, Any] | None = None) -> None:
        """Ends a trial whose training failed; the run continues.

        Args:
            trial: The trial, or its id.
            reason: Why, in words, or the exception.
            notes: As of `tell`.

        Raises:
            ConfigError: `notes` is no mapping that JSON can hold.
            ProtocolError: The trial is unknown or has ended.
        """
        words = f"{type(reason).__name__}: {reason}" if isinstance(reason, BaseException) else str(reason)
        trial_id, attempt = id_and_attempt(trial)
        kept = noted("fail", trial_id, notes)
        self._happen(Told(trial_id=trial_id, loss=None, reason=words, attempt=attempt, notes=kept, call="fail"))

    def requeue(self, trial: Trial | int) -> None:
        """Requeues a trial whose worker was lost: a later `ask` returns it again, with its next `attempt`.

        If the lost worker is still alive, its calls are then refused if they pass the trial and not its id. Its final
        result counts until the trial is asked again.

        Raises:
            ProtocolError: The trial is unknown, has ended, or is already requeued.
        """
        trial_id, attempt = id_and_attempt(trial)
        self._happen(Requeued(trial_id=trial_id, attempt=attempt))

    def cancel(self, trial: Trial | int, reason: str = "cancelled by the caller") -> None:
        """Cancels a trial: its slot is used up, and it takes no further part in the run.

        Raises:
            ProtocolError: The trial is unknown or has ended.
        """
        trial_id, attempt = id_and_attempt(trial)
        self._happen(Cancelled(trial_id=trial_id, reason=str(reason), attempt=attempt))

    def extend(self, generations: int) -> None:
        """Adds generations, during a run or after its end; their segments are as long as the last planned ones.

        Raises:
            ConfigError: `generations` is not a whole number of at least 1.
            ProtocolError: The run is extinct.
        """
        self._happen(Extended(generations=plain(generations)))

    def released(self) -> tuple[int, ...]:
        """Ids of ended trials whose checkpoints no later trial can need, each given once.

        An optimizer that was resumed (`from_dict`, `from_state`, `from_events`) gives all of them again, because the
        process before it may have died before it deleted them.
        """
        new = self._state.released[self._seen :]
        self._seen = len(self._state.released)
        return new

    # ---------------------------------------------------------------------------------------------------- questions

    @property
    def finished(self) -> bool:
        """Whether no trial will be asked any more, unless the run is extended; with a quorum, late results count."""
        return self._state.finished

    @property
    def extinct(self) -> bool:
        """Whether the run has ended because no trial was left that could be a parent."""
        return self._state.extinct

    @property
    def best(self) -> Best:
        """The best completed trial so far, its score and its schedule.

        The one with the best score; in a finished run whose `select_by` is not "score", the first of `finalists`.

        Raises:
            ExtinctError: The run has ended, and none was ever completed.
            NoResultError: None is completed yet.
        """
        if self._state.final is None:
            if self._state.extinct:
                raise ExtinctError(
                    f"best: no trial of this run was completed; correct what made them fail and start another run (a "
                    f"study: under another name); they failed because: {_reasons(self._state.records)}"
                )
            raise NoResultError("best: no trial is completed yet; tell a score first")
        return self._known_best(self._state.final)

    @property
    def finalists(self) -> tuple[Best, ...]:
        """The trials from which the reproduction rule would continue, in its order; their checkpoints are kept.

        With `select_by="posterior"` the first of them is the final model by its posterior mean. Empty for an extinct
        run.

        Raises:
            NoResultError: The run is not finished.
        """
        if not self._state.finished:
            raise NoResultError("finalists: the run is not finished; until then there is only best")
        if self._state.extinct:
            return ()
        return tuple(self._known_best(trial_id) for trial_id in self._state.open.plan.parents)

    def _known_best(self, trial_id: int) -> Best:
        record = self._state.records[trial_id]
        assert record.loss is not None  # a parent was completed
        return Best(trial=record.trial, score=self.score_of(record.loss), schedule=self.schedule(trial_id))

    @property
    def state(self) -> State:
        """The state, an immutable value."""
        return self._state

    @property
    def events(self) -> Vector[Event]:
        """The events since this optimizer was made, in order; an immutable sequence."""
        return self._events

    @property
    def records(self) -> Vector[Record]:
        """Every trial asked, by id, with losses, as rules and searchers see it; `results` has scores."""
        return self._state.records

    @property
    def results(self) -> Results:
        """The result of every trial asked, by id, with scores in the direction of the run; a sequence.

        Examples:
            >>> from gpbt_core import Float, Optimizer, Space
            >>> optimizer = Optimizer(Space(x=Float(0, 1)), steps=1, direction="maximize", preset="random")
            >>> (trial,) = optimizer.ask()
            >>> optimizer.tell(trial, 0.9)
            >>> optimizer.results[trial.id].score, optimizer.records[trial.id].loss
            (0.9, -0.9)
        """
        return Results(self._state.records, self._state.settings.direction)

    @property
    def needs(self) -> Needs:
        """Upper bounds on what the whole run needs: trials, steps, and checkpoints at a time."""
        return needs_of(self._state.settings, self._state.generations)

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self._state.settings

    @property
    def space(self) -> Space:
        """The search space."""
        return self._state.settings.space

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self._state.settings.seed

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Whether low or high scores are better."""
        return self._state.settings.direction

    @property
    def generation(self) -> int:
        """The generation whose slots are being asked, from 0; `generations` once the last one is closed."""
        return self._state.open.index

    @property
    def generations(self) -> int:
        """How many generations the run has."""
        return self._state.generations

    @property
    def budget(self) -> int:
        """The steps that the run may train: those of its slots at full length; stopped trials may leave some unused."""
        return self.settings.steps_of(self.generations)

    @property
    def tally(self) -> Tally:
        """Steps trained so far, saved by early stopping, and spent again by refills."""
        return self._state.tally

    @property
    def search(self) -> Search:
        """How the run finds its configs."""
        search = self._state.settings.search
        assert search is not None  # `_start` ensures it
        return search

    @property
    def searcher(self) -> Searcher:
        """Who proposes configs."""
        return self._searchers.searcher

    def score_of(self, loss: float) -> float:
        """A loss of a record in the direction of the run."""
        return loss if self.settings.direction == "minimize" else -loss

    def schedule(self, trial: Trial | int) -> Schedule:
        """The configs along a trial's lineage, with the steps that each held for.

        Raises:
            ProtocolError: The trial is unknown.
        """
        return genealogy.schedule(self._state, id_of("schedule", trial, self._state.records))

    def lineage(self, trial: Trial | int) -> tuple[Record, ...]:
        """The chain of trials from a founder down to a trial.

        Raises:
            ProtocolError: The trial is unknown.
        """
        return genealogy.lineage(self._state, id_of("lineage", trial, self._state.records))

    def __repr__(self) -> str:
        done = sum(record.status in ENDED for record in self.records)
        where = "finished" if self.finished else f"generation {self.generation + 1} of {self.generations}"
        best = f", best {self.best.score:.6g}" if self._state.best else ""
        return f"<Optimizer: {where}, {done} of {len(self.records)} asked trials told{best}>"

    # ------------------------------------------------------------------------------------------------------- resume

    @classmethod
    def from_state(cls, state: State, *, space: Space | None = None, search: Search | None = None) -> Self:
        """Resumes from a state, exactly as the optimizer that it was taken from would continue.

        Args:
            state: The state to resume from.
            space: If given, must equal that of the state.
            search: How to find configs from now on. None: as before, which is stored in the state of an optimizer but
                not in a decoded state.

        Raises:
            ConfigError: The space differs from the state's; or the state does not store how the run finds its
                configs, and no search is given.
            PluginError: A searcher's name is unknown, offered twice, or cannot be built.
        """
        if space is not None and space != state.settings.space:
            raise ConfigError(
                f"from_state: the space must be the one that the state was made with, {state.settings.space!r}, got "
                f"{space!r}"
            )
        if search is not None:
            state = attrs.evolve(state, settings=attrs.evolve(state.settings, search=search))
        made = cls.__new__(cls)  # skips `__init__`: the state is already checked
        made._start(state)  # noqa: SLF001  # its own
        return made

    @classmethod
    def from_events(cls, space: Space, events: Iterable[Event], **settings: Unpack[RunSettings]) -> Self:
        """Resumes from the events of a run, exactly as its optimizer would continue; no searcher is called.

        Args:
            space: The space of the run.
            events: The events, in order.
            settings: The other arguments that the run was started with.

        Raises:
            ConfigError: A config of the events is not in the space.
            ProtocolError: An event is not legal after the previous ones: the settings are not those of that run.
        """
        made = cls(space, **settings)
        made.replay(events)
        return made

    def replay(self, events: Iterable[Event]) -> None:
        """Applies events recorded by another optimizer, and so reaches the same state.

        Raises:
            ConfigError: A config is not in the space.
            ProtocolError: An event is not legal after the previous ones, which have been applied.
        """
        before = state = self._state
        happened: list[Event] = []
        try:
            for after, event in replay(state, self._valid(events)):
                state = after
                happened.append(event)
        finally:
            self._commit(before, state, happened)

    def to_dict(self) -> dict[str, Any]:
        """The whole run as plain JSON-able data, versioned.

        Raises:
            ConfigError: A searcher was given as an object, which has no name, and cannot be serialized.
        """
        from gpbt_core import codec  # needed only to save a run

        return {"state": codec.encode_state(self._state), "search": search_to_dict(self.search)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, space: Space | None = None) -> Self:
        """Resumes from the data of `to_dict`.

        Args:
            data: The data returned by `to_dict`.
            space: If given, must be the one in the data.

        Raises:
            ConfigError: The data is invalid, of another version, or has another space.
            PluginError: A searcher's or rule's name is unknown, offered twice, or cannot be built.
        """
        from gpbt_core import codec  # as above

        try:
            state, search = data["state"], data["search"]
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"from_dict: the data must be what to_dict gave, with state and search, got {data!r:.200}"
            ) from error
        found = search_from_dict(search)
        return cls.from_state(codec.decode_state(state, resolved), space=space, search=found)

    # -------------------------------------------------------------------------------------------------------- inside

    def _valid(self, events: Iterable[Event]) -> Iterator[Event]:
        validate = self.space.validate
        for event in events:
            if type(event) is Asked:
                validate(event.trial.config)
            yield event

    def _happen(self, event: Event) -> State:
        before = self._state
        state, happened = happen(before, event)
        self._commit(before, state, happened)
        return state

    def _commit(self, before: State, state: State, happened: Sequence[Event]) -> None:
        """Applies the result of a call; every change of an optimizer goes through here, once per call.

        A hook for subclasses: extend it to pass the events on, as a journalled study does. If it raises before it
        calls `super()._commit`, the optimizer does not change.

        Args:
            before: The state from which the call computed.
            state: The state after the events.
            happened: The events, in order; may be empty.

        Raises:
            ProtocolError: The optimizer is no longer in the state `before`; it does not change.
        """
        events = self._events.extend(happened)
        if self._state is not before:  # no call stands between here and the end: under the GIL no other thread runs
            raise ProtocolError(
                "optimizer: another call changed it while this one was computing: another thread, or a searcher or "
                "rule that calls back; nothing of this call happened; use an optimizer from one thread only, and "
                "call again"
            )
        self._state, self._events = state, events

    def _next(self, state: State) -> Trial | None:
        if state.queue:
            return state.records[state.queue[0]].trial
        if not state.open.ready or state.finished:
            return None
        slot, order = next_order(state)
        if slot.config is not None:
            config = slot.config
        elif slot.repeat and slot.parent is not None:
            config = state.records[slot.parent].trial.config
        else:
            config = self._propose(state, slot.parent, order)
        return Trial(
            id=order.id,
            parent=order.parent,
            generation=order.generation,
            depth=order.depth,
            config=config,
            steps=order.steps,
            start_step=order.start_step,
        )

    def _propose(self, state: State, parent: int | None, order: Order) -> Config:
        return propose(self._searchers, state, parent, order)

    def _loss(self, score: float) -> float:
        return score if self._state.settings.direction == "minimize" else -score


def _search(
    own: Search, searcher: Choice | Searcher | Search | None, known_configs: Sequence[Mapping[str, Any]]
) -> Search:
    """The search of the preset, with the replacements of the caller."""
    if isinstance(searcher, Search):
        search = searcher
    else:
        search = own if searcher is None else attrs.evolve(own, searcher=SearcherChoice.of(searcher))
    if not search.known_configs:
        return attrs.evolve(search, known_configs=known_configs)
    if len(known_configs):
        raise ConfigError("known_configs: must be given once, got some in the Search, too")
    return search


_SHOWN = 3  # of the reasons in an error


def _reasons(records: Iterable[Record]) -> str:
    """The most frequent reasons why trials failed, in words."""
    counts = Counter(record.reason for record in records if record.reason)
    shown = [f"{reason} ({count} trial{'s' * (count > 1)})" for reason, count in counts.most_common(_SHOWN)]
    more = len(counts) - _SHOWN
    return "; ".join(shown) + (f"; and {more} other reason{'s' * (more > 1)}" if more > 0 else "")
