"""Syne Tune's ASHA and BOHB, asked and told one trial after the other (the stopping variant, one worker)."""

import datetime
import math

import numpy as np
from link import Link
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.baselines import ASHA, BOHB
from syne_tune.optimizer.scheduler import SchedulerDecision


def main() -> None:
    """Suggests until the budget is spent."""
    link = Link()
    np.random.seed(link.seed)  # noqa: NPY002  # brackets are drawn from the global generator
    scheduler = {"asha": ASHA, "bohb": BOHB}[link.options["scheduler"]](
        {parameter["name"]: _domain(parameter) for parameter in link.parameters},
        metric="loss",
        time_attr="step",
        max_t=link.steps,
        do_minimize=True,
        random_seed=link.seed,
    )
    number, worst = 0, 0.0
    while (suggestion := scheduler.suggest()) is not None:
        trial = Trial(number, suggestion.config, datetime.datetime.now(tz=datetime.UTC))
        number += 1
        scheduler.on_trial_add(trial)
        entry = link.begin(suggestion.config)
        for step in range(1, link.steps + 1):
            loss = link.train(entry)
            worst = max(worst, loss) if math.isfinite(loss) else worst
            result = {"loss": loss if math.isfinite(loss) else worst, "step": step}
            if step == link.steps:
                scheduler.on_trial_complete(trial, result)
                break
            if scheduler.on_trial_result(trial, result) != SchedulerDecision.CONTINUE or math.isinf(loss):
                scheduler.on_trial_remove(trial)
                break


def _domain(parameter: dict) -> object:
    if parameter["kind"] == "categorical":
        return choice(parameter["choices"])
    if parameter["kind"] == "int":
        return (lograndint if parameter["log"] else randint)(parameter["low"], parameter["high"])
    return (loguniform if parameter["log"] else uniform)(parameter["low"], parameter["high"])


if __name__ == "__main__":
    main()
