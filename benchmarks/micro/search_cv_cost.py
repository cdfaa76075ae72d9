"""What `GPBTSearchCV` costs beyond the fits themselves, on the problem of the demonstration.

    python -m benchmarks.micro.search_cv_cost [--searcher random] [--repeats 3]

The time in the estimators' own fits and scores is taken out of the time of a search; what is left is asking and
telling, checkpoints, parameters set and read back, and the table of results. A fit of the demonstration takes some
milliseconds: with larger models the share falls in proportion. The run with the smallest share counts, as what else the
machine does can only add. By default the preset's searcher is asked, whose own time is then part of the cost.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs

from gpbt import GPBTSearchCV
from gpbt_adapters.cli.demo import MODEL, SPACE, digits
from gpbt_adapters.trainables.sklearn.folds import Scoring
from gpbt_adapters.trainables.sklearn.models import Model

__all__ = ["main", "measure"]


@attrs.frozen(kw_only=True)
class Cost:
    """Of one search: seconds in all, seconds in fits and scores, and how many trials it made."""

    total: float
    fits: float
    trials: int

    @property
    def share(self) -> float:
        """The time outside fits and scores."""
        return (self.total - self.fits) / self.total


@contextmanager
def _clocked(spent: list[float]) -> Iterator[None]:
    """Adds up the time in fits and scores."""
    originals: list[tuple[type, str, Callable[..., Any]]] = [
        (Model, "train", Model.train),
        (Scoring, "scores", Scoring.scores),
    ]

    def clocked(call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*arguments)
            finally:
                spent.append(time.perf_counter() - start)

        return timed

    for owner, name, call in originals:
        setattr(owner, name, clocked(call))
    try:
        yield
    finally:
        for owner, name, call in originals:
            setattr(owner, name, call)


def measure(searcher: str | None, population: int = 25, steps: int = 10) -> Cost:
    """Makes one search, by three folds in this process."""
    spent: list[float] = []
    search = GPBTSearchCV(
        MODEL,
        SPACE,
        population=population,
        steps=steps,
        cv=3,
        scoring="neg_log_loss",
        searcher=searcher,
        random_state=0,
    )
    with _clocked(spent), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of diverging models
        start = time.perf_counter()
        search.fit(*digits()["training"])
        total = time.perf_counter() - start
    return Cost(total=total, fits=sum(spent), trials=len(search.cv_results_["params"]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--searcher", default=None)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    best = min((measure(options.searcher) for _ in range(options.repeats)), key=lambda cost: cost.share)
    print(
        f"{best.trials} trials in {best.total:.2f} s, fits and scores {best.fits:.2f} s: beyond them {best.share:.1%}, "
        f"{1000 * (best.total - best.fits) / best.trials:.2f} ms per trial"
    )


if __name__ == "__main__":
    main()
