import pytest

from example_programs import load

pytest.importorskip("optax")


def test_it_runs_to_a_model_that_sees_what_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    result = load("digits_jax").main(["--small"])
    assert result.optimizer.finished
    assert result.best.score > 0.5  # guessing has 0.1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"accuracy: {result.best.score:.4f} on the validation images, ")
    assert len(printed) == 1 + len(result.schedule.segments)
    assert result.restore().score() == result.best.score
