"""Two toy problems of the study of greed in PBT: greed is optimal on one and a trap on the other.

One number theta starts at .9, and the score is 1.2 - theta^2. A tick of training multiplies theta by 1 - .002 (2 - h),
so that h = 0 is fastest. On the deceptive one speed has to be paid back: the more h has differed so far from a straight
line from 1 to 0, the slower are all later ticks. All is exact; seeds change nothing.

References:
    Chebykin et al., "To Be Greedy, or Not to Be - That Is the Question for Population Based Training Variants", TMLR
    2025, Section 5.2; https://github.com/AwesomeLemon/PBT-Zoo, task/toy_plain.py and task/toy_deceptive.py.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from benchmarks.problem import Direction, Options
from gpbt_core.space import Float, Space

__all__ = ["Toy", "Walk", "toy_deceptive", "toy_plain"]

TICKS = 1000
"""Of a whole training, however many steps it is cut into."""

_SPACE = Space(h=Float(0, 1))
_SPEED = 0.002
_PENALTY = 10.0
"""Per mean distance from the line over a whole training: the published .2 per step at the published 50 steps."""


@attrs.frozen(kw_only=True)
class Walk:
    """Where theta is, and the sum over the steps so far of the distance of h from the line."""

    theta: float = 0.9
    step: int = 0
    strayed: float = 0.0


@attrs.frozen(kw_only=True, eq=False)
class Toy:
    """One hyperparameter h in [0, 1]; validation and test are the same.

    Attributes:
        penalty: Of a mean distance of 1 from the line over a whole training; 0: none.
        models: Number of models in the default budget.
        steps: Number of equal parts into which a whole training is divided.
        space: The hyperparameter.
    """

    penalty: float
    models: int
    steps: int
    direction: Direction = "maximize"
    space: Space = _SPACE
    rate: str = "h"

    def start(self, seed: int) -> Walk:  # noqa: ARG002  # exact: nothing is drawn
        """The same for all seeds."""
        return Walk()

    def train(self, state: Walk, config: Mapping[str, Any]) -> tuple[Walk, float]:
        """The ticks of one step under one h."""
        line = 1 - state.step / self.steps
        strayed = state.strayed + abs(config["h"] - line)
        speed = max(2 - config["h"] - self.penalty * strayed / self.steps, 0.0)
        theta = state.theta * (1 - _SPEED * speed) ** (TICKS / self.steps)
        state = Walk(theta=theta, step=state.step + 1, strayed=strayed)
        return state, self.test(state)

    def test(self, state: Walk) -> float:
        """The score again."""
        return 1.2 - state.theta**2


def toy_plain(options: Options) -> Toy:
    """Greed is right: h = 0 throughout ends at 1.1997."""
    return Toy(penalty=0.0, models=options.models, steps=options.steps)


def toy_deceptive(options: Options) -> Toy:
    """Greed is a trap: h falling from 1 to 0 along a line ends at 1.198, the best constant at 1.10."""
    return Toy(penalty=_PENALTY, models=options.models, steps=options.steps)
