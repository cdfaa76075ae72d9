"""What a method is: something that spends a ledger's steps.

A method knows the space, the budget and the seed, but not the problem behind the ledger.
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from benchmarks.ledger import Ledger

__all__ = ["Method", "MethodUnavailable"]


class MethodUnavailable(RuntimeError):  # noqa: N818  # named after its cause
    """A library that the method needs is not installed; the message says how to get it."""


@attrs.frozen(kw_only=True)
class Method:
    """A way to spend the steps.

    Attributes:
        summary: One line that names the method and its library.
        run: Trains until the budget is spent (`BudgetSpent` may pass through) or it has nothing more to try. All its
            randomness comes from the ledger's seed. It does not take part in the choice of the final model.
        packages: The distributions whose versions are recorded in the result.
        settings: The settings to record, as plain JSON data.
    """

    summary: str
    run: Callable[[Ledger], None]
    packages: tuple[str, ...] = ()
    settings: Mapping[str, Any] = attrs.Factory(dict)
