"""Parameters, configs, and the map to and from the unit cube.

`parameters` says what there is to choose, `space` puts it together, and `Config` is what comes out; nothing here knows
of trials, scores or searchers.
"""

from gpbt_core.space.config import Config
from gpbt_core.space.parameters import Categorical, Float, Int, Parameter
from gpbt_core.space.space import Space, When

__all__ = ["Categorical", "Config", "Float", "Int", "Parameter", "Space", "When"]
