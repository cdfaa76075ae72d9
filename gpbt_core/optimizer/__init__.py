"""The public face of the core: an `Optimizer` is asked for trials and told results.

face       the class; read it first
search     finds the config of the next trial
known      checks and completes configs that the caller knows already
results    what became of the trials, in scores
needs      what a run needs at most
arguments  checks what callers pass
"""

from gpbt_core.optimizer.face import Best, Optimizer, RunSettings
from gpbt_core.optimizer.needs import Needs
from gpbt_core.optimizer.results import Results, TrialResult

__all__ = ["Best", "Needs", "Optimizer", "Results", "RunSettings", "TrialResult"]
