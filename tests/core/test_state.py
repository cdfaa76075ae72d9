"""Any legal sequence of calls keeps the promises of a state; an illegal one raises and changes nothing."""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gpbt_core import Genealogical, Optimizer, ProtocolError, Quantile, Search, Status, Verdict, codec, genealogy
from gpbt_core.registry import resolve_rule
from gpbt_core.state import Event, State, Tally, apply, initial
from gpbt_core.state.model import with_
from runs import RUNNING, SPACE, Curious, setups
from strategies import examples

scores = st.sampled_from([-1e300, -1.0, 0.0, 0.5, 0.5, 1.0, 2.0, 3.0]) | st.floats(-5, 5)


class Runs(RuleBasedStateMachine):
    """A caller who does whatever is legal, some of what is not, and looks at everything after each call."""

    setups: ClassVar[st.SearchStrategy[dict[str, Any]]] = setups(quorum=None)

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []  # of the optimizers before this one
        self.given: set[int] = set()  # what `released` answered

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        setup = data.draw(self.setups)
        self.setup = setup
        self.optimizer = Optimizer(SPACE, **setup)

    # -------------------------------------------------------------------------------------------------- what happens

    def _running(self, *statuses: Status) -> list[int]:
        return [r.trial.id for r in self.optimizer.records if r.status in (statuses or RUNNING)]

    def _pick(self, data: st.DataObject, *statuses: Status) -> int | None:
        running = self._running(*statuses)
        return data.draw(st.sampled_from(running)) if running else None

    @rule(count=st.integers(1, 4))
    def ask(self, count: int) -> None:
        state = self.optimizer.state
        queued = state.queue
        trials = self.optimizer.ask(count)
        assert len(trials) <= count
        assert tuple(trial.id for trial in trials[: len(queued)]) == queued[:count]
        for trial in trials:
            assert self.optimizer.records[trial.id].status is Status.RUNNING
            assert self.optimizer.records[trial.id].trial == trial
        if len(trials) < count:
            assert not self.optimizer.ask()
        if state.finished:
            assert not trials

    @rule(count=st.integers(1, 40), seed=st.integers(0, 99), keep_some=st.booleans())
    def train(self, count: int, seed: int, keep_some: bool) -> None:
        """What drawing call by call would seldom come to: some whole trials, one after the other."""
        rng = np.random.default_rng(seed)
        for _ in range(count):
            for trial in self.optimizer.ask():
                steps = [s for s in range(1, trial.steps + 1) if rng.random() < 0.8]
                if any(self.optimizer.report(trial.id, s, rng.normal()) is Verdict.STOP for s in steps):
                    self.optimizer.tell(trial.id)
                elif rng.random() < 0.1:
                    self.optimizer.fail(trial.id, "bad luck")
                elif not (keep_some and rng.random() < 0.1):
                    self.optimizer.tell(trial.id, rng.normal())
            self.look()

    @rule(seed=st.integers(0, 99))
    def end_what_is_running(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        running = self._running()
        for i in rng.permutation(len(running)):
            self.optimizer.tell(running[i], rng.normal())
            self.look()

    @rule(data=st.data(), score=scores | st.sampled_from([math.nan, math.inf, -math.inf]))
    def report(self, data: st.DataObject, score: float) -> None:
        trial_id = self._pick(data, Status.RUNNING)
        if trial_id is None:
            return
        record = self.optimizer.records[trial_id]
        if record.steps < record.trial.steps:
            step = data.draw(st.integers(record.steps + 1, record.trial.steps))
            limit = (*record.limits, math.inf)[step - 1] if record.limits else math.inf
            loss = score if self.optimizer.direction == "minimize" else -score
            worse = (loss if math.isfinite(loss) else math.inf) > limit
            verdict = self.optimizer.report(trial_id, step, score)
            assert (verdict is Verdict.STOP) == worse

    @rule(data=st.data(), score=scores)
    def tell(self, data: st.DataObject, score: float) -> None:
        trial_id = self._pick(data)
        if trial_id is None:
            return
        stopping = self.optimizer.records[trial_id].status is Status.STOPPING
        self.optimizer.tell(trial_id, score)
        record = self.optimizer.records[trial_id]
        assert record.status is (Status.STOPPED if stopping else Status.COMPLETED)
        assert record.loss is not None
        assert self.optimizer.score_of(record.loss) == score

    @rule(data=st.data())
    def tell_the_last_score(self, data: st.DataObject) -> None:
        reported = [i for i in self._running() if self.optimizer.records[i].reports]
        if reported:
            trial_id = data.draw(st.sampled_from(reported))
            step, loss = self.optimizer.records[trial_id].reports[-1]
            self.optimizer.tell(trial_id, steps=step)
            assert self.optimizer.records[trial_id].loss == (loss if math.isfinite(loss) else None)
            assert self.optimizer.records[trial_id].steps == step

    @rule(data=st.data(), how=st.sampled_from(["nan", "inf", "fail", "cancel"]))
    def end_without_a_score(self, data: st.DataObject, how: str) -> None:
        trial_id = self._pick(data)
        if trial_id is None:
            return
        if how == "fail":
            self.optimizer.fail(trial_id, "bad luck")
        elif how == "cancel":
            self.optimizer.cancel(trial_id)
        else:
            self.optimizer.tell(trial_id, float(how))
        record = self.optimizer.records[trial_id]
        assert record.status is (Status.CANCELLED if how == "cancel" else Status.FAILED)
        assert record.loss is None
        assert record.reason

    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        trial_id = self._pick(data, Status.RUNNING, Status.STOPPING)
        if trial_id is not None:
            self.optimizer.requeue(trial_id)
            assert self.optimizer.state.queue[-1] == trial_id
            assert not self.optimizer.records[trial_id].reports

    @precondition(lambda self: self.optimizer.finished and not self.optimizer.extinct)
    @rule(more=st.integers(1, 2))
    def extend(self, more: int) -> None:
        self.optimizer.extend(more)

    @rule()
    def ask_what_is_released(self) -> None:
        released = self.optimizer.released()
        assert len(set(released)) == len(released)
        assert not self.given & set(released)
        self.given |= set(released)
        assert self.optimizer.released() == ()

    @rule()
    def resume(self) -> None:
        data = json.loads(json.dumps(codec.encode_state(self.optimizer.state), allow_nan=False))
        state = codec.decode_state(data, resolve_rule)
        assert state == self.optimizer.state
        self.events += self.optimizer.events
        self.optimizer = Optimizer.from_state(state, search=self.setup["searcher"])
        self.given = set()  # one that begins anew says again what is released

    @rule(data=st.data())
    def do_what_is_not_legal(self, data: st.DataObject) -> None:
        optimizer, records = self.optimizer, self.optimizer.records
        unknown = [-1, len(records), len(records) + 5]
        ended = [r.trial.id for r in records if r.status not in RUNNING]
        trial_id = data.draw(st.sampled_from(unknown + ended))
        calls: list[Callable[[], object]] = [
            lambda: optimizer.tell(trial_id, 0.5),
            lambda: optimizer.tell(trial_id),
            lambda: optimizer.tell(trial_id, math.nan),
            lambda: optimizer.report(trial_id, 1, 0.5),
            lambda: optimizer.fail(trial_id, "why"),
            lambda: optimizer.cancel(trial_id),
            lambda: optimizer.requeue(trial_id),
        ]
        report = optimizer.report
        halted, queued, running = Status.STOPPING, Status.QUEUED, Status.RUNNING
        calls += [partial(report, i, records[i].trial.steps, 0.5) for i in self._running(halted, queued)]
        calls += [partial(optimizer.requeue, i) for i in self._running(queued)]
        calls += [
            partial(report, i, step, 0.5)
            for i in self._running(running)
            for step in (records[i].steps, records[i].trial.steps + 1, 0, -1)
        ]
        calls += [partial(optimizer.tell, i) for i in self._running() if not records[i].reports]
        calls += [
            partial(optimizer.tell, i)
            for i in self._running(running)
            if records[i].reports
            and math.isfinite(records[i].reports[-1][1])
            and records[i].steps < records[i].trial.steps
        ]
        calls += [partial(optimizer.tell, i, 0.5, steps=records[i].trial.steps + 1) for i in self._running()]
        calls += [partial(optimizer.tell, i, 0.5, steps=records[i].steps - 1) for i in self._running()]
        if optimizer.extinct:
            calls.append(lambda: optimizer.extend(1))
        state, events = optimizer.state, optimizer.events
        with pytest.raises(ProtocolError):
            data.draw(st.sampled_from(calls))()
        assert optimizer.state is state
        assert optimizer.events is events

    # ----------------------------------------------------------------------------------------------- what is promised

    @property
    def state(self) -> State:
        return self.optimizer.state

    @invariant()
    def look(self) -> None:
        self.ids_count_from_0_in_the_order_of_slots()
        self.lineages_add_up()
        self.steps_and_reports_fit_the_status()
        self.what_can_be_needed_is_not_released()
        self.the_best_is_the_best_completed_one()
        self.the_tally_is_what_the_records_say()
        self.each_generation_keeps_to_its_budget()
        self.slots_wait_for_their_view_and_for_nothing_else()
        self.there_is_a_way_on()
        self.it_says_where_it_stands()

    def ids_count_from_0_in_the_order_of_slots(self) -> None:
        records = self.state.records
        assert [record.trial.id for record in records] == list(range(len(records)))
        place = 0
        generations = [(generation.first, generation.count) for generation in self.state.closed]
        for index, (first, count) in enumerate([*generations, (self.state.open.first, self.state.open.asked)]):
            assert first == place
            assert {records[i].trial.generation for i in range(place, place + count)} <= {index}
            place += count
        assert place == len(records)

    def lineages_add_up(self) -> None:
        lengths = self.optimizer.settings.lengths
        for record in self.state.records:
            trial = record.trial
            assert trial.steps == lengths[min(trial.generation, len(lengths) - 1)]
            if trial.parent is None:
                assert (trial.depth, trial.start_step) == (0, 0)
            else:
                parent = self.state.records[trial.parent]
                assert parent.status is Status.COMPLETED
                assert parent.trial.generation < trial.generation
                assert trial.depth == parent.trial.depth + 1
                assert trial.start_step == parent.trial.start_step + parent.steps
            assert self.optimizer.schedule(trial.id).steps == trial.start_step + (
                trial.steps if record.status in RUNNING else record.steps
            )

    def steps_and_reports_fit_the_status(self) -> None:
        for record in self.state.records:
            steps = [step for step, _ in record.reports]
            assert steps == sorted(set(steps))
            assert 0 <= record.steps <= record.trial.steps
            assert (record.loss is not None) == (record.status in {Status.COMPLETED, Status.STOPPED})
            assert (record.status is Status.QUEUED) == (record.trial.id in self.state.queue)
            if record.status is Status.COMPLETED:
                assert record.steps >= max([1, *steps])
            elif steps:
                assert record.steps == steps[-1]

    def what_can_be_needed_is_not_released(self) -> None:
        records, released = self.state.records, list(self.state.released)
        assert len(set(released)) == len(released)
        assert all(records[i].status not in RUNNING for i in released)
        gone = set(released)
        assert not gone & {r.trial.parent for r in records if r.status in RUNNING}
        assert not gone & {slot.parent for slot in self.state.open.plan.slots}
        assert self.state.best is None or self.state.best[1] not in gone
        live = {r.trial.id for r in records if r.status not in RUNNING} - gone
        assert genealogy.needed(self.state) == live
        assert all(records[i].status is Status.COMPLETED for i in live)
        if self.state.open.keep is not None:
            assert len(live) <= len(self.state.open.plan.parents) + self.state.open.keep.count + 1

    def the_best_is_the_best_completed_one(self) -> None:
        completed = [(r.loss, r.trial.id) for r in self.state.records if r.status is Status.COMPLETED]
        assert self.state.best == min(completed, default=None)
        if completed:
            assert self.optimizer.best.trial.id == self.state.best[1]  # type: ignore[index]  # there is one

    def the_tally_is_what_the_records_say(self) -> None:
        state, tally = self.state, Tally()
        generations = [(g.first, g.count, len(g.plan.slots)) for g in state.closed]
        cancelled = sum(
            max(0, planned - count) * self.optimizer.settings.lengths[min(i, len(self.optimizer.settings.lengths) - 1)]
            for i, (_, count, planned) in enumerate(generations)
        )
        generations.append((state.open.first, state.open.asked, len(state.open.plan.slots)))
        refill = self.optimizer.settings.reproduction.refill
        for first, count, planned in generations:
            for record in (state.records[i] for i in range(first, first + count)):
                if record.status not in RUNNING:
                    extra = record.trial.id >= first + planned
                    assert refill or not extra
                    tally = Tally(
                        trained=tally.trained + record.steps,
                        saved=tally.saved + (record.trial.steps - record.steps) * (record.loss is not None),
                        refilled=tally.refilled + record.steps * extra,
                    )
        assert state.tally == attrs.evolve(tally, saved=tally.saved + cancelled)

    def each_generation_keeps_to_its_budget(self) -> None:
        settings, records = self.optimizer.settings, self.state.records
        for index, generation in enumerate(self.state.closed):
            steps = settings.lengths[min(index, len(settings.lengths) - 1)]
            budget = len(generation.plan.slots) * steps
            members = [records[i] for i in range(generation.first, generation.first + generation.count)]
            used = sum(r.trial.steps if r.status in RUNNING else r.steps for r in members)
            assert used <= budget + (steps / 2 if settings.reproduction.refill else 0)
            if settings.reproduction.refill and settings.quorum == 1 and settings.generation_stopping is None:
                assert used > budget - steps / 2
            if settings.generation_stopping is None:
                assert generation.count >= len(generation.plan.slots)

    def slots_wait_for_their_view_and_for_nothing_else(self) -> None:
        state = self.state
        o, m = state.open, state.settings.max_concurrent
        if state.finished or state.open.index >= state.generations:
            return
        assert o.prefix == next((k for k in range(o.asked) if state.records[o.first + k].status in RUNNING), o.asked)
        assert o.ended == sum(state.records[o.first + k].status not in RUNNING for k in range(o.asked))
        told = o.prefix >= o.asked - m + 1
        if o.asked < len(o.plan.slots):
            assert o.ready == (told and not o.over)
            assert o.view.end == max(0, min(o.prefix, o.asked - m + 1))
        if state.settings.generation_stopping is None and o.asked < len(o.plan.slots):
            assert not o.over

    def there_is_a_way_on(self) -> None:
        state = self.state
        assert state.finished or state.open.ready or state.queue or self._running()
        assert state.finished == (state.extinct or (state.open.index >= state.generations and not state.queue))
        if state.extinct:
            assert not self._running()
            assert state.best is None
            assert not state.closed

    def it_says_where_it_stands(self) -> None:
        assert repr(self.optimizer).startswith("<Optimizer: ")

    def teardown(self) -> None:
        if hasattr(self, "optimizer"):
            state = initial(self.optimizer.settings)
            for event in (*self.events, *self.optimizer.events):
                state = apply(state, event)
            assert state == self.optimizer.state


class RefilledRuns(Runs):
    """Runs as the default ones: trials stop, and what they leave over opens further slots."""

    setups = st.fixed_dictionaries(
        {
            "population": st.integers(4, 9),
            "steps": st.integers(6, 20),
            "seed": st.integers(0, 5),
            "max_concurrent": st.integers(1, 5),
            "searcher": st.just(Search(Curious())),
            "reproduction": st.builds(
                Genealogical,
                segments=st.sampled_from([(0.5, 0.3, 0.2), 4]),
                survivors=st.booleans(),
                spread=st.sampled_from([0.0, 0.1]),
                order=st.sampled_from(["round-robin", "litter"]),
            ),
            "trial_stopping": st.builds(Quantile, min_trials=st.integers(1, 3)),
        }
    )


def test_a_copy_of_a_state_with_a_field_that_it_does_not_have_is_an_error() -> None:
    state = Optimizer(SPACE, steps=2).state
    assert with_(state, late=(3,)) == attrs.evolve(state, late=(3,))
    with pytest.raises(AssertionError, match=r"\['lately'\]"):
        with_(state, lately=(3,))


@pytest.mark.parametrize("machine", [Runs, RefilledRuns])
def test_any_sequence_of_calls_keeps_the_promises(machine: type[Runs]) -> None:
    run_state_machine_as_test(machine, settings=settings(examples(150), stateful_step_count=40))
