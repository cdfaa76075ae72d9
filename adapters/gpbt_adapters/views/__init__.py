"""The views of a run as plain data: its tree, scores, schedules, savings and failures.

Nothing here draws or decides. Each view is a function of the state alone and takes one pass over the trials, so every
plot, report and screen shows the same numbers. Scores are in the direction of the run.
"""

from gpbt_adapters.views.advice import advice
from gpbt_adapters.views.brief import brief
from gpbt_adapters.views.code import Code, codes
from gpbt_adapters.views.columns import PENDING, Run, Trials, state_of, trials
from gpbt_adapters.views.comparison import Compared, Comparison, Group, Pairing, compare
from gpbt_adapters.views.curves import Curve, Curves, curves, losses_of
from gpbt_adapters.views.failing import Failure, failures
from gpbt_adapters.views.findings import Finding
from gpbt_adapters.views.gains import Gain, gain_over_constant, gain_over_first
from gpbt_adapters.views.genealogy import Tree, tree
from gpbt_adapters.views.importance import shares, weighed, weighed_of
from gpbt_adapters.views.importances import Importance
from gpbt_adapters.views.lines import Axis, Line, Schedules, axes, schedules
from gpbt_adapters.views.notes import Timing, figures_of, noted, timing_of
from gpbt_adapters.views.replays import Replays
from gpbt_adapters.views.results import Scores, scores
from gpbt_adapters.views.stopping import Savings, savings
from gpbt_adapters.views.story import story
from gpbt_adapters.views.summary import Overview, overview
from gpbt_adapters.views.time import Estimate, Span, Times, estimates, time_spent, times
from gpbt_adapters.views.trust import trust

__all__ = [
    "PENDING",
    "Axis",
    "Code",
    "Compared",
    "Comparison",
    "Curve",
    "Curves",
    "Estimate",
    "Failure",
    "Finding",
    "Gain",
    "Group",
    "Importance",
    "Line",
    "Overview",
    "Pairing",
    "Replays",
    "Run",
    "Savings",
    "Schedules",
    "Scores",
    "Span",
    "Times",
    "Timing",
    "Tree",
    "Trials",
    "advice",
    "axes",
    "brief",
    "codes",
    "compare",
    "curves",
    "estimates",
    "failures",
    "figures_of",
    "gain_over_constant",
    "gain_over_first",
    "losses_of",
    "noted",
    "overview",
    "savings",
    "schedules",
    "scores",
    "shares",
    "state_of",
    "story",
    "time_spent",
    "times",
    "timing_of",
    "tree",
    "trials",
    "trust",
    "weighed",
    "weighed_of",
]
