"""The searcher `pb2`: the population based bandit, a time-varying Gaussian process on changes of the score.

`rows` turns a query into rows, `bandit` chooses categories, `model` fits the process and predicts, `searcher` puts them
together. No module imports one that comes later.
"""

from gpbt_searchers.pb2.searcher import PB2

__all__ = ["PB2"]
