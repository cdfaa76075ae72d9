import pytest

from example_programs import load

pytest.importorskip("stable_baselines3")


def test_it_runs_to_an_agent_that_balances(capsys: pytest.CaptureFixture[str]) -> None:
    result = load("cartpole_ppo").main(["--small"])
    assert result.optimizer.finished
    assert result.best.score > 5
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"mean return: {result.best.score:.1f} when selected, ")
    assert len(printed) == 1 + len(result.schedule.segments)
    best = result.restore()
    assert best.score() == result.best.score
    best.close()
