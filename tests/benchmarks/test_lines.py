import runpy
from pathlib import Path

import pytest

from benchmarks.lines.counting import PROGRAMS, count, table

ROOT = Path(__file__).parents[2]
RUN = [name for names in PROGRAMS.values() for name in names if not name.endswith("ray")]  # a cluster takes minutes
PAGES = {"Stable-Baselines3": "reinforcement-learning"}


def test_the_lines_of_a_user_are_as_few_as_promised() -> None:
    assert count("lightning_gpbt") <= 12
    assert count("transformers_gpbt") <= 10
    assert count("sb3_gpbt") <= 10


def test_the_tutorials_say_how_many_lines_each_library_takes() -> None:
    for task, names in PROGRAMS.items():
        page = (ROOT / "docs" / "tutorial" / f"{PAGES.get(task, task.lower())}.md").read_text(encoding="utf-8")
        row = next(line for line in table().splitlines() if line.startswith(f"| {task} "))
        assert row in page, names


@pytest.mark.filterwarnings("ignore")  # of the other library, which is run as anyone would
@pytest.mark.parametrize("program", RUN)
def test_a_program_whose_lines_are_counted_runs(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for library in ("lightning", "transformers", "stable_baselines3", "optuna"):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    runpy.run_module(f"benchmarks.lines.{program}", run_name="__main__")
    assert 0 <= float(capsys.readouterr().out.splitlines()[-1].split()[0]) <= (500 if program.startswith("sb3") else 1)
