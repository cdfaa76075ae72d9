"""The directory that records a search of `GPBTSearchCV`: a study, its checkpoints, and the scores of each fold.

Layout::

    search.json         a digest of the data and the estimator
    search.db           the study
    checkpoints/        the models that are still needed
    figures.jsonl       for each trial, one line with the scores and times of its folds
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import RunSettings
from gpbt_core.space import Space

__all__ = ["SearchFolder"]


class SearchFolder:
    """A recorded search, new or to be resumed; also a watcher of the run, which records the scores of each fold.

    Args:
        directory: Where the search is recorded; created if it is missing.
        space: The search space.
        settings: The settings of the optimizer.
        digest: Tells the data and the estimator apart from others.

    Attributes:
        study: The study.
        store: Its checkpoints.
        figures: What was recorded of each trial.

    Raises:
        ConfigError: The directory records a search of other data or settings.
    """

    def __init__(self, directory: str | os.PathLike[str], space: Space, settings: RunSettings, digest: str) -> None:
        from gpbt_adapters.storing.journal import open_study  # needs SQLAlchemy

        self._directory = Path(directory)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check(digest)
        self.study: Any = open_study(self._directory / "search.db", "search", space, **settings)
        self.store = CheckpointStore(self._directory / "checkpoints", resume=True)
        self._file = self._directory / "figures.jsonl"
        self.figures = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.study.close()
        self.store.close()

    def gpbt_event(self, event: object, optimizer: object) -> None:
        """Has nothing to record: the study does."""

    def gpbt_figures(self, trial_id: int, figures: Mapping[str, float]) -> None:
        """Records the scores of a trial's folds."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"trial": trial_id, "figures": dict(figures)}) + "\n")

    def _check(self, digest: str) -> None:
        card = self._directory / "search.json"
        if not card.exists():
            card.write_text(json.dumps({"digest": digest}), "utf-8")
        elif json.loads(card.read_text("utf-8")).get("digest") != digest:
            raise ConfigError(
                f"GPBTSearchCV: storage={str(self._directory)!r} must record a search of the same data, folds, scores "
                f"and estimator, got another one; name another directory"
            )

    def _read(self) -> dict[int, dict[str, float]]:
        if not self._file.exists():
            return {}
        found: dict[int, dict[str, float]] = {}
        text = self._file.read_text("utf-8")
        if text and not text.endswith("\n"):
            with self._file.open("a", encoding="utf-8") as file:
                file.write("\n")  # so that the next line does not continue one that was cut short
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # cut short as the process was killed; its trial was not told and is trained again
                continue
            found[entry["trial"]] = entry["figures"]
        return found
