"""HEBO, one suggestion after the other, constant HPs."""

import math
import warnings

import numpy as np
import torch
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO
from link import Link


def main() -> None:
    """Suggests until the budget is spent."""
    link = Link()
    warnings.simplefilter("ignore")
    np.random.seed(link.seed)  # noqa: NPY002  # HEBO knows no other generator
    torch.manual_seed(link.seed)
    torch.set_num_threads(1)
    space = DesignSpace().parse([_parameter(parameter) for parameter in link.parameters])
    search = HEBO(space, scramble_seed=link.seed)
    worst = 0.0
    while True:
        suggested = search.suggest(n_suggestions=1)
        config = {parameter["name"]: suggested.iloc[0][parameter["name"]] for parameter in link.parameters}
        loss = link.train(link.begin(config), link.steps)
        worst = max(worst, loss) if math.isfinite(loss) else worst
        search.observe(suggested, np.array([[loss if math.isfinite(loss) else worst]]))


def _parameter(parameter: dict) -> dict:
    if parameter["kind"] == "categorical":
        return {"name": parameter["name"], "type": "cat", "categories": parameter["choices"]}
    kind = {("float", False): "num", ("float", True): "pow", ("int", False): "int", ("int", True): "pow_int"}
    found = {"name": parameter["name"], "type": kind[parameter["kind"], parameter["log"]]}
    return {**found, "lb": parameter["low"], "ub": parameter["high"]}


if __name__ == "__main__":
    main()
