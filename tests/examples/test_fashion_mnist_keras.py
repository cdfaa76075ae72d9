import os
from pathlib import Path

import pytest

from example_programs import load, write_idx_files

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras")

# Keras 3.15 turns TensorFlow's variables into arrays in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def test_it_reads_the_original_files_packed_or_not(tmp_path: Path) -> None:
    program = load("fashion_mnist_keras")
    write_idx_files(tmp_path, train=30, test=20)
    for part, count in (("train", 30), ("t10k", 20)):
        images, labels = program.read(tmp_path, part)
        assert images.shape == (count, 28, 28, 1)
        assert 0 <= images.min() < images.max() <= 1
        assert labels.argmax(axis=1).tolist() == [number % 10 for number in range(count)]


def test_it_runs_to_a_model_that_sees_what_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_idx_files(tmp_path, train=600, test=100)
    result = load("fashion_mnist_keras").main([str(tmp_path), "--small"])
    assert result.optimizer.finished
    assert result.best.score > 0.3  # guessing has 0.1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"accuracy: {result.best.score:.4f} on the validation images, ")
    assert len(printed) == 1 + len(result.schedule.segments)
    assert result.restore().score() == result.best.score
