from pathlib import Path

import numpy as np
import pytest

from example_programs import load, write_idx_files

pytest.importorskip("torch")


def test_it_reads_the_original_files_packed_or_not(tmp_path: Path) -> None:
    program = load("fashion_mnist_pytorch")
    write_idx_files(tmp_path, train=30, test=20)
    for part, count in (("train", 30), ("t10k", 20)):
        images, labels = program.read(tmp_path, part).tensors
        assert images.shape == (count, 1, 28, 28)
        assert 0 <= float(images.min()) < float(images.max()) <= 1
        assert labels.tolist() == [number % 10 for number in range(count)]


def test_it_runs_to_a_model_that_sees_what_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_idx_files(tmp_path, train=600, test=100)
    result = load("fashion_mnist_pytorch").main([str(tmp_path), "--small"])
    assert result.optimizer.finished
    assert result.best.score > 0.3  # guessing has 0.1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"accuracy: {result.best.score:.4f} on the validation images, ")
    assert len(printed) == 1 + len(result.schedule.segments)
    assert result.restore().score() == result.best.score


def test_every_image_is_either_trained_on_or_validated_with(tmp_path: Path) -> None:
    program = load("fashion_mnist_pytorch")
    write_idx_files(tmp_path, train=60, test=20)
    data = program.read(tmp_path, "train")
    train, valid = program.split(data, None)
    assert (len(train), len(valid)) == (50, 10)
    parts = [*valid.tensors[0], *train.tensors[0]]
    assert all(np.array_equal(one, other) for one, other in zip(parts, data.tensors[0], strict=True))
