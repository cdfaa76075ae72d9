from pathlib import Path

import pytest

from example_programs import load

pytest.importorskip("accelerate")
pytest.importorskip("transformers")


def test_it_runs_to_a_model_that_reads_what_it_should(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = load("sentences_transformers")
    lines = [f"{label}\t{text}" for label, text in program.made_up(300)]
    (tmp_path / "table.tsv").write_text("\n".join(lines), encoding="utf-8")
    result = program.main([str(tmp_path / "table.tsv"), "--small"])
    assert result.optimizer.finished
    assert result.best.score > 0.6  # guessing has 0.5
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"accuracy: {result.best.score:.4f} on the validation sentences, ")
    assert len(printed) == 1 + len(result.schedule.segments)
    assert result.restore().score() == result.best.score
