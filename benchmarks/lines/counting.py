"""Counts the lines of the programs beside this file."""

from pathlib import Path

__all__ = ["PROGRAMS", "count", "table"]

FOLDER = Path(__file__).parent
PROGRAMS = {
    "Lightning": ("lightning_gpbt", "lightning_optuna", "lightning_ray"),
    "Transformers": ("transformers_gpbt", "transformers_optuna", "transformers_ray"),
    "Stable-Baselines3": ("sb3_gpbt", "sb3_optuna", "sb3_ray"),
}
"""The programs of each task: with gpbt, with Optuna, with Ray Tune."""


def count(program: str) -> int:
    """The lines of a program that are neither empty nor comments nor the sentence at its top."""
    lines = (FOLDER / f"{program}.py").read_text(encoding="utf-8").splitlines()
    return sum(bool(line.strip()) and not line.strip().startswith(("#", '"""')) for line in lines)


def table() -> str:
    """The counts as a table of Markdown."""
    rows = [f"| {task} | {' | '.join(str(count(name)) for name in names)} |" for task, names in PROGRAMS.items()]
    return "\n".join(["| | gpbt | Optuna | Ray Tune, PBT |", "|---|---|---|---|", *rows])
