import pytest

pytest.importorskip("torch")

from benchmarks.micro.adapter_cost import main, measure


def test_a_small_measurement_has_all_figures() -> None:
    figures = measure(repeats=1)
    assert figures.keys() == {"bare", "adapter", "factories"}
    assert all(0 < value < 60 for value in figures.values())


def test_the_program_prints_the_ratio_and_exits_by_the_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for ratio, status in ((2.0, 0), (3.5, 1)):
        figures = {"bare": 0.01, "adapter": 0.01 * ratio, "factories": 0.001}
        monkeypatch.setattr("benchmarks.micro.adapter_cost.measure", lambda _, figures=figures: figures)
        assert main(["--repeats", "1"]) == status
        assert f"{ratio:.2f} x (bound 3)" in capsys.readouterr().out
