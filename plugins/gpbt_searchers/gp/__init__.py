"""The searcher `gp`, the default: expected improvement of a Gaussian process on one lineage's own history.

Modules, each importing from those above it only:

    kernel       points to features, features to covariances, and their derivatives
    assumptions  what is believed before any loss
    scores       losses to what the model explains
    model        the fit of the kernel, the posterior
    belief       which points are fitted to and conditioned on
    data         queries and records to arrays
    acquisition  expected improvement
    candidates   where to look
    refine       a climb from the best candidate
    searcher     the order of the moves
    insight      what a fitted model tells people
    selection    parents and final models by what the model believes of them
"""

from gpbt_searchers.gp.insight import Estimate, importance, posterior
from gpbt_searchers.gp.searcher import GaussianProcess
from gpbt_searchers.gp.selection import Posterior, best_by_posterior, expected_losses

__all__ = [
    "Estimate",
    "GaussianProcess",
    "Posterior",
    "best_by_posterior",
    "expected_losses",
    "importance",
    "posterior",
]
