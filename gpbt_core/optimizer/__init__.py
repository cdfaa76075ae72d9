"""The public face of the core: an `Optimizer` is asked for trials and told results.

`face` has the class, `search` finds the config of the next trial, `arguments` checks what callers pass. Read `face`
first.
"""

from gpbt_core.optimizer.face import Best, Optimizer

__all__ = ["Best", "Optimizer"]
