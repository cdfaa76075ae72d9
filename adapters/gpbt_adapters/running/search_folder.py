"""The directory that records a search of `GPBTSearchCV`: a study and its checkpoints.

Layout::

    search.json         a digest of the data and the estimator
    search.db           the study
    checkpoints/        the models that are still needed
"""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gpbt_adapters.storing.checkpoints import CheckpointStore
from gpbt_core.errors import ConfigError
from gpbt_core.optimizer import RunSettings
from gpbt_core.space import Space

__all__ = ["SearchFolder"]


class SearchFolder:
    """A recorded search, new or to be resumed.

    Args:
        directory: Where the search is recorded; created if it is missing.
        space: The search space.
        settings: The settings of the optimizer.
        digest: Tells the data and the estimator apart from others.

    Attributes:
        study: The study.
        store: Its checkpoints.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.study.close()
        self.store.close()

    def _check(self, digest: str) -> None:
        card = self._directory / "search.json"
        if not card.exists():
            card.write_text(json.dumps({"digest": digest}), "utf-8")
        elif json.loads(card.read_text("utf-8")).get("digest") != digest:
            raise ConfigError(
                f"GPBTSearchCV: storage={str(self._directory)!r} must record a search of the same data, folds, scores "
                f"and estimator, got another one; name another directory"
            )
