"""The public face: ask for trials, tell results; a thin shell around one State.

Every call computes its events and the state after them first, and then takes them over in `_commit`, the one place
where an optimizer changes. One thread owns an optimizer; only the training is concurrent.
"""

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Self

import attrs

from gpbt_core import genealogy, presets
from gpbt_core.early_stopping import GenerationStopping, TrialStopping
from gpbt_core.errors import ConfigError, ExtinctError, ProtocolError
from gpbt_core.genealogy import History
from gpbt_core.optimizer.arguments import number, rule, whole
from gpbt_core.optimizer.search import Choice, Search, propose
from gpbt_core.persistent import Vector
from gpbt_core.presets import resolve_rule, searcher_choice, selecting
from gpbt_core.records import Record, Schedule, Status, Trial, Verdict
from gpbt_core.reproduction import Reproduction
from gpbt_core.searcher import Searcher
from gpbt_core.space import Config, Space
from gpbt_core.space.parameters import plain
from gpbt_core.state import (
    ENDED,
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

__all__ = ["Best", "Optimizer"]


class _Preset(enum.Enum):
    """Stands for what the preset says, where None says "none"."""

    ITS_OWN = "the preset's"


ITS_OWN: Final = _Preset.ITS_OWN


@attrs.frozen(kw_only=True)
class Best:
    """What a run came to.

    Attributes:
        trial: The completed trial with the best score, of equal ones the earliest; or the one that the run's rule of
            selection prefers.
        score: What was told of it.
        schedule: The configs along its lineage.
    """

    trial: Trial
    score: float
    schedule: Schedule


class Optimizer:
    """Finds a schedule of hyperparameters while the models train.

    The budget is population x steps. The result depends on the seed, the settings and the scores; not on how many
    workers there are nor on who finishes first (but for a `quorum` below 1).

    Examples:
        >>> from gpbt_core import Float, Optimizer, Space
        >>> optimizer = Optimizer(Space(rate=Float(0.01, 1, log=True)), population=4, steps=3, preset="random", seed=1)
        >>> x = {None: 8.0}
        >>> while not optimizer.finished:
        ...     for trial in optimizer.ask(count=2):
        ...         x[trial.id] = x[trial.parent] * (1 - trial.config["rate"]) ** trial.steps
        ...         optimizer.tell(trial.id, x[trial.id])
        >>> optimizer.best.score < 8
        True
    """

    def __init__(
        self,
        space: Space,
        *,
        population: int = 25,
        steps: int,
        direction: Literal["minimize", "maximize"] = "minimize",
        seed: int = 0,
        max_concurrent: int = 4,
        quorum: float = 1.0,
        preset: str = "gpbt",  # it is called so everywhere
        searcher: Choice | Searcher | None = None,
        founders: Choice | Searcher | Literal[_Preset.ITS_OWN] | None = ITS_OWN,
        number_of_founders: int | None = None,
        history: History | None = None,
        reproduction: Choice | Reproduction | None = None,
        select_by: str | None = None,
        trial_stopping: Choice | TrialStopping | Literal[_Preset.ITS_OWN] | None = ITS_OWN,
        generation_stopping: Choice | GenerationStopping | Literal[_Preset.ITS_OWN] | None = ITS_OWN,
    ) -> None:
        """Starts a run.

        Args:
            space: What to tune.
            population: n, the number of models, at least 1.
            steps: T, the steps per model, at least 1.
            direction: Whether scores are to be small or large.
            seed: At least 0.
            max_concurrent: m, at least 1: how many slots may be in training at once within the promise that the result
                does not depend on the workers; about twice their number keeps them busy.
            quorum: In (0, 1]; below 1 the next generation opens once this share of the asked trials is told and nothing
                else can be asked. Speed for determinism.
            preset: The set-up that the following arguments change: one of `gpbt_core.presets.PRESETS`.
            searcher: Who proposes configs: a name, (name, options), or an object with `propose`; None: the preset's.
            founders: Likewise, for the first slots of generation 0; None: the searcher from the first slot on.
            number_of_founders: How many these are; None: the preset's.
            history: What the searcher learns from, "family", "all" or "none"; None: the preset's.
            reproduction: Who begets whom: a name, (name, options), or a rule; None: the preset's.
            select_by: What parents and the final model are chosen by: "score", or the name of a rule that takes the
                options of "genealogical" and ranks otherwise: "posterior", by what the model of `gp` believes of a
                trial, for noisy scores. None: what the reproduction rule goes by.
            trial_stopping: Which trials stop early: a name, (name, options), or a rule; None: none.
            generation_stopping: Which generations end early, likewise.

        Raises:
            ConfigError: An argument is of the wrong type or out of its range, or options do not fit a rule.
            PluginError: A name is unknown, offered twice, or cannot be built.
        """
        chosen = presets.preset(preset)
        begets = rule("reproduction", chosen.rule(population, steps) if reproduction is None else reproduction)
        settings = Settings(
            space=space,
            population=population,
            steps=steps,
            direction=direction,
            seed=seed,
            max_concurrent=max_concurrent,
            quorum=quorum,
            reproduction=begets if select_by is None else selecting(begets, select_by),
            trial_stopping=rule(
                "early stopping", chosen.trial_stopping if trial_stopping is ITS_OWN else trial_stopping
            ),
            generation_stopping=rule(
                "early stopping", chosen.generation_stopping if generation_stopping is ITS_OWN else generation_stopping
            ),
        )
        if number_of_founders is None:
            number_of_founders = chosen.number_of_founders(population)
        self._search = Search.make(
            searcher=searcher_choice(searcher) if searcher is not None else chosen.searcher,
            founders=chosen.founders if founders is ITS_OWN else founders,
            number_of_founders=number_of_founders,
            history=chosen.history if history is None else history,
        )
        self._start(initial(settings))

    def _start(self, state: State) -> None:
        self._state, self._events = state, Vector[Event]()
        self._seen = 0  # how many of state.released the caller was told of

    # ------------------------------------------------------------------------------------------------------ the loop

    def ask(self, count: int = 1) -> tuple[Trial, ...]:
        """The next trials to train, at most `count` (at least 1).

        Returns:
            Fewer than `count`, or none, when the next one depends on results that are not told yet, or none will come
            any more: `finished` tells which. Trials that were given back come first.

        Raises:
            ConfigError: `count` is not a whole number of at least 1.
            SearcherError: The searcher raised, or proposed a config that is not in the space; nothing was asked.
            ProtocolError: Another thread, or a searcher that calls back, changed the run meanwhile; nothing was asked.
        """
        count = plain(count)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"ask: wanted a count of at least 1, got {count!r}")
        before = state = self._state
        asked: list[Event] = []
        trials: list[Trial] = []
        while len(trials) < count and (trial := self._next(state)) is not None:
            state, happened = happen(state, Asked(trial=trial))
            asked += happened
            trials.append(trial)
        self._commit(before, state, asked)
        return tuple(trials)

    def report(self, trial_id: int, step: int, score: float) -> Verdict:
        """Notes the score of a running trial after a step.

        Args:
            trial_id: Its id.
            step: Within its segment, from 1 to `trial.steps`, rising with each report; steps may be left out.
            score: In the direction of the run. NaN and infinity count as worse than everything.

        Returns:
            STOP if it is to end here: the next call for it is `tell` with this score (`tell(trial_id)` will do).

        Raises:
            ConfigError: The score is not a number.
            ProtocolError: The trial is unknown, has ended, was given back or told to stop; or the step is not its next.
        """
        value = number("report", trial_id, score)
        loss = self._loss(value) if math.isfinite(value) else math.inf
        state = self._happen(Reported(trial_id=plain(trial_id), step=whole("report", step), loss=loss))
        stopping = state.records[trial_id].status is Status.STOPPING
        return Verdict.STOP if stopping else Verdict.CONTINUE

    def tell(self, trial_id: int, score: float | None = None, *, steps: int | None = None) -> None:
        """Ends a trial with its score.

        Args:
            trial_id: Its id.
            score: In the direction of the run; NaN or infinity: the trial failed. None: the last reported score, which
                must be the score of the last step.
            steps: How many steps of the segment the trial trained, if you end the segment early on purpose: at least
                as many as reported, at most `trial.steps`. The trial is completed all the same: its children continue
                from that step. None: all of them, or as many as were reported when `report` answered STOP.

        Raises:
            ConfigError: The score is not a number.
            ProtocolError: The trial is unknown or has ended.
            ProtocolError: No score is given, and the trial did not report the score of its last step.
            ProtocolError: `steps` is not a number of steps that the trial can have trained.
        """
        trial_id, steps = plain(trial_id), plain(steps)
        if score is None:
            loss = self._last_report(trial_id, steps)
            value = loss
        else:
            value = number("tell", trial_id, score)
            loss = self._loss(value)
        if math.isfinite(value):
            self._happen(Told(trial_id=trial_id, loss=loss, steps=steps))
        else:
            self._happen(Told(trial_id=trial_id, loss=None, reason=f"its score is {value}", steps=steps))

    def fail(self, trial_id: int, reason: str) -> None:
        """Ends a trial whose training failed; the run goes on.

        Raises:
            ProtocolError: The trial is unknown or has ended.
        """
        self._happen(Told(trial_id=plain(trial_id), loss=None, reason=str(reason)))

    def requeue(self, trial_id: int) -> None:
        """Gives a trial back whose worker was lost: a later `ask` hands it out again, as it was.

        Raises:
            ProtocolError: The trial is unknown, has ended, or was given back already.
        """
        self._happen(Requeued(trial_id=plain(trial_id)))

    def cancel(self, trial_id: int, reason: str = "cancelled by the caller") -> None:
        """Gives a trial up: its slot is used, and it takes part in nothing.

        Raises:
            ProtocolError: The trial is unknown or has ended.
        """
        self._happen(Cancelled(trial_id=plain(trial_id), reason=str(reason)))

    def extend(self, generations: int) -> None:
        """Adds generations, during a run or after its end; their segments are as long as the last planned ones.

        Raises:
            ConfigError: `generations` is not a whole number of at least 1.
            ProtocolError: The run is extinct.
        """
        self._happen(Extended(generations=plain(generations)))

    def released(self) -> tuple[int, ...]:
        """Ids of ended trials whose checkpoints no later trial can need, each given once."""
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

        The one with the best score; of a finished run whose `select_by` is not "score", the first of `finalists`.

        Raises:
            ExtinctError: The run has ended, and none was ever completed.
            ProtocolError: None is completed yet.
        """
        if self._state.final is None:
            if self._state.extinct:
                reasons = {record.reason for record in self._state.records if record.reason}
                raise ExtinctError(
                    f"best: no trial of this run was completed; mend what made them fail and start another run (a "
                    f"study: under another name); they failed because: {'; '.join(sorted(reasons))}"
                )
            raise ProtocolError("best: no trial is completed yet; tell a score first")
        return self._known_best(self._state.final)

    @property
    def finalists(self) -> tuple[Best, ...]:
        """The trials that the reproduction rule would go on from after the end, in its order; their checkpoints stay.

        With `select_by="posterior"` the first of them is the final model by its posterior mean. Empty for an extinct
        run.

        Raises:
            ProtocolError: The run is not finished.
        """
        if not self._state.finished:
            raise ProtocolError("finalists: the run is not finished; until then there is only best")
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
        """All that happened since this optimizer was made, in order; an immutable sequence."""
        return self._events

    @property
    def records(self) -> Vector[Record]:
        """Every trial asked, by id; an immutable sequence. Losses, not scores: see `score_of`."""
        return self._state.records

    @property
    def settings(self) -> Settings:
        """What the run was started with."""
        return self._state.settings

    @property
    def space(self) -> Space:
        """What is tuned."""
        return self._state.settings.space

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self._state.settings.seed

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """Whether scores are to be small or large."""
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
        """The steps that the run may train: those of its slots at full length; stopped trials may leave some over."""
        lengths = self.settings.lengths
        return self.settings.population * (sum(lengths) + lengths[-1] * (self.generations - len(lengths)))

    @property
    def tally(self) -> Tally:
        """Steps trained so far, saved by early stopping, and spent again by refills."""
        return self._state.tally

    @property
    def searcher(self) -> Searcher:
        """Who proposes configs."""
        return self._search.searcher

    def score_of(self, loss: float) -> float:
        """A loss of a record in the direction of the run."""
        return loss if self.settings.direction == "minimize" else -loss

    def schedule(self, trial_id: int) -> Schedule:
        """The configs along a trial's lineage, with the steps that each held for."""
        return genealogy.schedule(self._state, trial_id)

    def lineage(self, trial_id: int) -> tuple[Record, ...]:
        """The chain of trials from a founder down to a trial."""
        return genealogy.lineage(self._state, trial_id)

    def __repr__(self) -> str:
        done = sum(record.status not in {Status.RUNNING, Status.STOPPING, Status.QUEUED} for record in self.records)
        where = "finished" if self.finished else f"generation {self.generation + 1} of {self.generations}"
        best = f", best {self.best.score:.6g}" if self._state.best else ""
        return f"<Optimizer: {where}, {done} of {len(self.records)} asked trials told{best}>"

    # ------------------------------------------------------------------------------------------------------- resume

    @classmethod
    def from_state(cls, state: State, *, space: Space | None = None, preset: str = "gpbt", **search: Any) -> Self:
        """Goes on from a state, exactly as the optimizer that it was taken from would have.

        Args:
            state: Where to go on.
            space: If given, must be the state's own.
            preset: The set-up whose searchers to use; what else it says is in the state.
            search: `searcher`, `founders`, `number_of_founders` and `history`, as when the run was started.

        Raises:
            ConfigError: The space is another one than the state's.
            PluginError: A searcher's name is unknown, offered twice, or cannot be built.
        """
        if space is not None and space != state.settings.space:
            raise ConfigError(
                f"from_state: wanted the space that the state was made with, {state.settings.space!r}, got {space!r}"
            )
        rules = attrs.asdict(state.settings, recurse=False, filter=lambda field, _: field.init)
        made = cls(**rules, preset=preset, **search)
        made._start(state)
        return made

    @classmethod
    def from_events(cls, space: Space, events: Iterable[Event], **settings: Any) -> Self:
        """Goes on from what happened, exactly as the optimizer that it happened to would have; no searcher is called.

        Args:
            space: The space of the run.
            events: In order.
            settings: The other arguments that the run was started with.

        Raises:
            ConfigError: A config of the events is not in the space.
            ProtocolError: An event is not legal after those before it: these are not the settings of that run.
        """
        made = cls(space, **settings)
        made.replay(events)
        return made

    def replay(self, events: Iterable[Event]) -> None:
        """Lets events happen that happened elsewhere: this optimizer then stands where that one stood.

        Raises:
            ConfigError: A config is not in the space.
            ProtocolError: An event is not legal after those before it; those before it have happened.
        """
        before = state = self._state
        happened, validate = list[Event](), self.space.validate
        try:
            for after, event in replay(state, events):
                if type(event) is Asked:
                    validate(event.trial.config)
                state = after
                happened.append(event)
        finally:
            self._commit(before, state, happened)

    def to_dict(self) -> dict[str, Any]:
        """The whole run as plain JSON-able data, versioned.

        Raises:
            ConfigError: A searcher was given as an object, which has no name, and cannot be written down.
        """
        from gpbt_core import codec  # for those who write runs down

        return {"state": codec.encode_state(self._state), "search": self._search.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, space: Space | None = None) -> Self:
        """Goes on from `to_dict`.

        Args:
            data: What `to_dict` gave.
            space: If given, must be the one in the data.

        Raises:
            ConfigError: It is of another version, is no such data, or has another space.
            PluginError: A searcher's or rule's name is unknown, offered twice, or cannot be built.
        """
        from gpbt_core import codec  # as above

        try:
            state, found = data["state"], data["search"]
            search = {name: found[name] for name in ("searcher", "founders", "number_of_founders", "history")}
            for part in ("searcher", "founders"):
                if search[part] is not None:
                    search[part] = (search[part]["name"], search[part]["options"])
        except (KeyError, TypeError) as error:
            raise ConfigError(
                f"from_dict: wanted what to_dict gave, with state and search, got {data!r:.200}"
            ) from error
        return cls.from_state(codec.decode_state(state, resolve_rule), space=space, **search)

    # -------------------------------------------------------------------------------------------------------- inside

    def _happen(self, event: Event) -> State:
        before = self._state
        state, happened = happen(before, event)
        self._commit(before, state, happened)
        return state

    def _commit(self, before: State, state: State, happened: Sequence[Event]) -> None:
        """Takes over what a call has computed; every change of an optimizer goes through here, once per call.

        A hook for subclasses: extend it to pass the events on, as a journalled study does. If it raises before it calls
        `super()._commit`, nothing has happened.

        Args:
            before: The state from which the call computed.
            state: The state after the events.
            happened: The events, in order; may be empty.

        Raises:
            ProtocolError: The optimizer is no longer in the state `before`; nothing happened.
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
        if slot.repeat and slot.parent is not None:
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
        return propose(self._search, state, parent, order)

    def _loss(self, score: float) -> float:
        return score if self._state.settings.direction == "minimize" else -score

    def _last_report(self, trial_id: int, steps: int | None) -> float:
        records = self._state.records
        if not isinstance(trial_id, int) or not 0 <= trial_id < len(records):
            return 0.0  # the trial is unknown, which `apply` refuses
        record = records[trial_id]
        if record.status in ENDED:
            return 0.0  # likewise
        if not record.reports:
            raise ProtocolError(f"tell: trial {trial_id} reported no score; give its score")
        step, loss = record.reports[-1]
        wanted = record.trial.steps if steps is None else steps
        if math.isfinite(loss) and record.status is not Status.STOPPING and step != wanted:
            if steps is None:
                raise ProtocolError(
                    f"tell: trial {trial_id} reported {step} of {wanted} steps: train on, or give a score and the "
                    f"steps, tell({trial_id}, score, steps={step})"
                )
            raise ProtocolError(
                f"tell: trial {trial_id} reported no score at step {steps}, its last one was at step {step}; give the "
                f"score"
            )
        return loss
