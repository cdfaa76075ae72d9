"""Parameters, configs, and the map to and from the unit cube.

`parameters` has the kinds of parameters, `space` combines them, and a `Config` holds their values. Nothing here knows
trials, scores or searchers.
"""

from gpbt_core.space.config import Config
from gpbt_core.space.parameters import Categorical, Float, Int, Parameter
from gpbt_core.space.space import Space, When

__all__ = ["Categorical", "Config", "Float", "Int", "Parameter", "Space", "When"]
