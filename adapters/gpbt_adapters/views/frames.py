"""A found schedule as a table, for plots and reports.

To follow a schedule in a framework, use its adapter: `gpbt.pytorch.lambda_lr`, `gpbt.keras.ScheduleCallback`.
"""

from typing import TYPE_CHECKING

from gpbt_core.records import Schedule

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_frame"]


def to_frame(schedule: Schedule, *, per_step: bool = False) -> "pd.DataFrame":
    """Converts a schedule to a pandas DataFrame.

    Args:
        schedule: The schedule.
        per_step: Whether to make one row per step instead of one per segment.

    Returns:
        A frame with one row per segment and the columns `start_step` and `steps`, or one row per step and the index
        `step`. It has a column for each hyperparameter, with missing values where the hyperparameter is not active.

    Raises:
        ImportError: pandas is not installed.

    Examples:
        >>> from gpbt import Segment
        >>> first = Segment(config={"lr": 0.5}, start_step=0, steps=1)
        >>> second = Segment(config={"lr": 0.25, "momentum": 0.9}, start_step=1, steps=2)
        >>> print(to_frame(Schedule((first, second))))
           start_step  steps    lr  momentum
        0           0      1  0.50       NaN
        1           1      2  0.25       0.9
        >>> to_frame(Schedule((first, second)), per_step=True)["lr"].tolist()
        [0.5, 0.25, 0.25]
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("schedules.to_frame needs pandas, which is not installed: pip install pandas") from error
    names = list(dict.fromkeys(name for segment in schedule.segments for name in segment.config))
    if per_step:
        rows = [dict(segment.config) for segment in schedule.segments for _ in range(segment.steps)]
        start = schedule.segments[0].start_step if schedule.segments else 0
        index = pd.RangeIndex(start, start + len(rows), name="step")
        return pd.DataFrame(rows, index=index, columns=names)
    rows = [{"start_step": s.start_step, "steps": s.steps, **s.config} for s in schedule.segments]
    return pd.DataFrame(rows, columns=["start_step", "steps", *names])
