"""Failures caused by the set-up rather than a config: they cost no trial and end the run before the budget is spent.

The failure of a trial before its first step, while it is saved, or by the death of its workers is held back. Once a
trial succeeds in training, or the reasons differ, held failures count as any other. Several in a row for the same
reason are a mistake in the set-up.
"""

from gpbt_adapters.views.words import without_numbers
from gpbt_core.errors import ConfigError, ProtocolError
from gpbt_core.optimizer import Optimizer
from gpbt_core.records import Trial
from gpbt_core.state import Told, apply

__all__ = ["Failures", "RepeatedFailureError"]

LATER = 3
"""Factor by which the limit on failures in a row rises once a trial has got further."""


class RepeatedFailureError(ConfigError):
    """Several trials in a row failed for the same reason.

    Attributes:
        happened: What happened, with the reason, in words.
    """

    def __init__(self, message: str, happened: str = "") -> None:
        super().__init__(message, happened)
        self.happened = happened

    def __str__(self) -> str:
        return str(self.args[0])


class Failures:
    """Holds failures back and says when they are a mistake in the set-up.

    Args:
        limit: How many failures in a row may have the same reason; None: no limit, and none is held.
        optimizer: The optimizer of the trials.

    Attributes:
        held: Failed trials and their reasons, not yet told to the optimizer.
    """

    def __init__(self, limit: int | None, optimizer: Optimizer) -> None:
        self.held: list[tuple[Trial, str]] = []
        self._limit, self._optimizer = limit, optimizer
        self._worked = any(record.loss is not None or record.reports for record in optimizer.records)
        self._key, self._row = "", 0

    def hold(self, trial: Trial, reason: str, *, fruitless: bool) -> bool:
        """Notes a failure; whether it is held."""
        if self._limit is None or not fruitless:
            self.forget()
            return False
        key = without_numbers(reason)
        if key != self._key:
            if self.held:
                self.forget()
                return False
            self._key, self._row = key, 0
        self._row += 1
        self.held.append((trial, reason))
        return True

    def forget(self) -> None:
        """Notes that training works, or that failures differ: what is held counts as any failure."""
        self._worked, self._key, self._row = True, "", 0

    def take(self) -> list[tuple[Trial, str]]:
        """Takes out what is held."""
        taken, self.held = self.held, []
        return taken

    def verdict(self, *, stuck: bool) -> ConfigError | None:
        """The error with which to end the run, or None.

        Args:
            stuck: Whether the optimizer has nothing to train until the held failures are told.
        """
        if self._limit is None or not self.held:
            return None
        enough = self._row >= self._limit * (LATER if self._worked else 1)
        if not enough and not (stuck and self._ends_the_run()):
            return None
        count = "the trial" if self._row == 1 else f"{self._row} trials in a row"
        back = "the trial is given back" if len(self.held) == 1 else f"{len(self.held)} trials are given back"
        happened = f"{count} failed for one reason: {self.held[-1][1]}"
        return RepeatedFailureError(
            f"run: {happened}; fix the cause and call run again: {back}. If you expect some configs to fail this way, "
            f"pass failures_in_a_row=None",
            happened,
        )

    def _ends_the_run(self) -> bool:
        """Whether the run would be extinct, for good, with these failures."""
        state = self._optimizer.state
        try:
            for trial, reason in self.held:
                state = apply(state, Told(trial_id=trial.id, loss=None, reason=reason))
        except ProtocolError:  # a callback or another process has ended one
            return False
        return state.extinct
