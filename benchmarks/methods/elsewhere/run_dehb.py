"""DEHB over the unit cube, with the steps of training as fidelity; each evaluation trains from scratch."""

import math
import tempfile

from dehb import DEHB
from link import Link


def main() -> None:
    """Asks until the budget is spent."""
    link = Link()
    with tempfile.TemporaryDirectory() as place:
        search = DEHB(
            dimensions=len(link.parameters),
            min_fidelity=1,
            max_fidelity=link.steps,
            eta=3,
            seed=link.seed,
            n_workers=1,
            save_freq="end",
            output_path=place,
            log_level="ERROR",
        )
        worst = 0.0
        while True:
            job = search.ask()
            loss = link.train(link.begin(point=job["config"]), max(1, round(job["fidelity"])))
            worst = max(worst, loss) if math.isfinite(loss) else worst
            search.tell(job, {"fitness": loss if math.isfinite(loss) else worst, "cost": job["fidelity"]})


if __name__ == "__main__":
    main()
