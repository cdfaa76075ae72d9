"""The reproduction rule `posterior`."""

import attrs
import numpy as np
import pytest

from gpbt_adapters.views import overview
from gpbt_core import Config, Float, Optimizer, Search, Space
from gpbt_core.errors import ConfigError, ExtinctError, PluginError, ProtocolError
from gpbt_core.records import Record, Status, Trial
from gpbt_core.reproduction import Genealogical
from gpbt_core.testing import check_reproduction
from gpbt_searchers.gp import Posterior, best_by_posterior, expected_losses

SPACE = Space(x=Float(0, 1))


def told(number: int, x: float, loss: float | None) -> Record:
    trial = Trial(id=number, parent=None, generation=0, depth=0, config=Config({"x": x}), steps=1, start_step=0)
    return Record(trial=trial, status=Status.FAILED if loss is None else Status.COMPLETED, loss=loss, steps=1)


def run(seed: int, *, noise: float = 0.3, reproduction: str = "posterior", **options: object) -> Optimizer:
    optimizer = Optimizer(
        SPACE,
        population=12,
        steps=6,
        seed=seed,
        reproduction=(reproduction, options),
        trial_stopping=None,
        searcher=Search("random"),
    )
    rng = np.random.default_rng(seed)
    while not optimizer.finished:
        for trial in optimizer.ask():
            optimizer.tell(trial.id, abs(trial.config["x"] - 0.3) + noise * float(rng.normal()))
    return optimizer


@pytest.mark.parametrize("rule", [Posterior(), Posterior(survivors=True, per_parent=None, noise=0.1), Posterior(c=1.0)])
def test_the_rule_carries_runs_to_their_end(rule: Posterior) -> None:
    check_reproduction(rule)


def test_a_lucky_score_between_bad_ones_is_not_believed() -> None:
    xs = np.linspace(0, 1, 41)
    losses = np.abs(xs - 0.2)
    lucky = 36
    losses[lucky] = -0.1
    history = [told(k, float(x), float(loss)) for k, (x, loss) in enumerate(zip(xs, losses, strict=True))]
    expected = expected_losses(SPACE, history, history, generations=2)
    assert int(np.argmin(losses)) == lucky
    assert abs(xs[int(np.argmin(expected))] - 0.2) < 0.1
    assert min(losses) <= min(expected)
    assert max(expected) <= max(losses)


def test_with_few_points_scores_are_what_they_are() -> None:
    history = [told(0, 0.1, 3.0), told(1, 0.2, None), told(2, 0.3, 1.0)]
    assert expected_losses(SPACE, history, [history[2], history[0]], generations=2) == (1.0, 3.0)


def test_failures_count_as_bad_places_and_never_as_a_loss() -> None:
    xs = np.linspace(0, 1, 20).tolist()
    history = [told(k, x, None if x > 0.7 else x) for k, x in enumerate(xs)]
    good = [record for record in history if record.loss is not None]
    expected = expected_losses(SPACE, history, good, generations=2)
    assert np.all(np.isfinite(expected))
    assert max(expected) <= max(xs[: len(good)])


def test_scores_in_another_unit_select_the_same_parents() -> None:
    rng = np.random.default_rng(0)
    history = [told(k, float(x), float(abs(x - 0.4) + 0.2 * rng.normal())) for k, x in enumerate(rng.random(30))]
    larger = [told(r.trial.id, r.trial.config["x"], 1000.0 * (r.loss or 0.0)) for r in history]
    first = expected_losses(SPACE, history, history, generations=2)
    assert expected_losses(SPACE, larger, larger, generations=2) == pytest.approx([1000.0 * v for v in first])


def test_the_chosen_are_truly_better_than_the_luckiest_of_their_generation() -> None:
    def true_loss(reproduction: str) -> float:
        runs = [run(seed, reproduction=reproduction) for seed in range(12)]
        return float(np.mean([abs(one.finalists[0].trial.config["x"] - 0.3) for one in runs]))

    assert true_loss("posterior") < true_loss("genealogical")


def test_the_final_model_by_posterior_is_a_finalist_and_not_always_the_luckiest() -> None:
    runs = [run(seed, reproduction="genealogical", parents=[0.5]) for seed in range(12)]
    places = [one.finalists.index(best_by_posterior(one)) for one in runs]
    assert len(set(places)) > 1


def test_under_its_own_rule_the_final_model_is_the_first_finalist() -> None:
    optimizer = run(5)
    assert best_by_posterior(optimizer) == optimizer.finalists[0]


def test_select_by_posterior_takes_over_the_options_of_the_preset() -> None:
    optimizer = Optimizer(SPACE, population=25, steps=10, preset="paper", select_by="posterior")
    paper = Optimizer(SPACE, population=25, steps=10, preset="paper").settings.reproduction
    rule = optimizer.settings.reproduction
    assert isinstance(rule, Posterior)
    assert isinstance(paper, Genealogical)
    assert attrs.asdict(rule) == attrs.asdict(paper)
    again = Optimizer(SPACE, population=25, steps=10, reproduction=rule, select_by="score")
    assert again.settings.reproduction == paper


def test_select_by_posterior_chooses_the_final_model_too() -> None:
    optimizer = run(5)
    assert optimizer.best == optimizer.finalists[0]
    assert overview(optimizer).heading == "score of the best by posterior"
    assert overview(optimizer).best == optimizer.best.trial.id


def test_until_the_end_the_best_is_the_best_score() -> None:
    optimizer = run(5)
    best = min((r.loss, r.trial.id) for r in optimizer.records if r.loss is not None)[1]
    assert optimizer.best.trial.id != best
    optimizer.extend(1)
    assert optimizer.best.trial.id == best


def test_a_rule_without_litters_cannot_select_by_posterior() -> None:
    with pytest.raises(ConfigError, match=r"select_by: the rule must be genealogical .*got 'truncation'"):
        Optimizer(SPACE, steps=3, preset="pbt", select_by="posterior")
    with pytest.raises(PluginError, match=r"select_by: must be 'score' or .*did you mean 'posterior'"):
        Optimizer(SPACE, steps=3, select_by="posteriour")


def test_a_run_is_written_down_and_replayed_with_the_same_choices() -> None:
    optimizer = run(3, spread=0.2)
    again = Optimizer.from_dict(optimizer.to_dict())
    assert again.finalists == optimizer.finalists
    replayed = Optimizer.from_events(
        SPACE,
        optimizer.events,
        population=12,
        steps=6,
        seed=3,
        reproduction=("posterior", {"spread": 0.2}),
        trial_stopping=None,
        searcher=Search("random"),
    )
    assert replayed.state == optimizer.state


def test_finalists_are_the_next_parents_and_their_checkpoints_are_kept() -> None:
    optimizer = run(0)
    ids = [finalist.trial.id for finalist in optimizer.finalists]
    assert ids
    assert not set(ids) & set(optimizer.released())
    optimizer.extend(1)
    parents = {trial.parent for trial in optimizer.ask(12)}
    assert parents <= set(ids)


def test_the_first_finalist_of_the_default_rule_is_the_best_of_its_last_generation() -> None:
    optimizer = run(1, reproduction="genealogical")
    first = optimizer.finalists[0]
    last = [r.loss for r in optimizer.records if r.trial.generation == optimizer.generations - 1 and r.loss is not None]
    assert first.score == min(last)
    assert first.schedule == optimizer.schedule(first.trial.id)


def test_there_are_no_finalists_before_the_end_and_none_of_an_extinct_run() -> None:
    optimizer = Optimizer(SPACE, population=2, steps=2, preset="random")
    with pytest.raises(ProtocolError, match="not finished"):
        _ = optimizer.finalists
    for trial in optimizer.ask(2):
        optimizer.fail(trial.id, "no luck")
    assert optimizer.extinct
    assert optimizer.finalists == ()
    with pytest.raises(ExtinctError, match="no luck"):
        best_by_posterior(optimizer)
