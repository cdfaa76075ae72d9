import sys

import pytest

from gpbt_adapters.views.frames import to_frame
from gpbt_core.records import Schedule, Segment
from gpbt_core.space import Config

FOUND = Schedule(
    (
        Segment(config=Config({"lr": 0.5, "kind": "adam"}), start_step=0, steps=2),
        Segment(config=Config({"lr": 0.25, "kind": "sgd", "momentum": 0.9}), start_step=2, steps=1),
    )
)


def test_each_segment_is_a_row_with_what_held_in_it() -> None:
    pytest.importorskip("pandas")
    frame = to_frame(FOUND)
    assert list(frame.columns) == ["start_step", "steps", "lr", "kind", "momentum"]
    assert frame["steps"].tolist() == [2, 1]
    assert frame["kind"].tolist() == ["adam", "sgd"]
    assert frame["momentum"].isna().tolist() == [True, False]


def test_each_step_is_a_row_with_what_the_schedule_has_at_it() -> None:
    pytest.importorskip("pandas")
    frame = to_frame(FOUND, per_step=True)
    assert frame.index.tolist() == [0, 1, 2]
    for step in range(FOUND.steps):
        assert frame.loc[step].dropna().to_dict() == FOUND.at(step)


def test_an_empty_schedule_is_an_empty_frame() -> None:
    pytest.importorskip("pandas")
    assert to_frame(Schedule(())).empty
    assert to_frame(Schedule(()), per_step=True).empty


def test_without_pandas_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        to_frame(FOUND)
