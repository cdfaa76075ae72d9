"""What every test runs under: one thread for linear algebra, and examples of hypothesis that repeat from run to run.

Fixtures that more than one file needs live here too.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# Two threads of BLAS on tiny matrices cost more than they give, and their sums may differ in the last bit. Set before
# anything imports numpy.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import hypothesis  # noqa: E402 - after the environment is set, as numpy may come with it
import pytest  # noqa: E402 - as above

ROOT = Path(__file__).parents[1]

# Whole files that need a library; tests that need one among others skip themselves.
_LIBRARIES = {
    "cmaes": ["searchers/test_cmaes.py", "benchmarks/test_benchmark_methods.py", "benchmarks/test_benchmark_run.py"],
    "distributed": ["adapters/running/test_dask.py"],
    "optuna": [
        "adapters/searching/test_optuna_searcher.py",
        "benchmarks/test_benchmark_methods.py",
        "benchmarks/test_micro_searchers.py",
    ],
    "sqlalchemy": [
        "adapters/storing/test_journal.py",
        "adapters/storing/test_journal_processes.py",
        "adapters/storing/test_journal_resume.py",
        "adapters/storing/test_stored_journals.py",
    ],
    "torch": ["adapters/searching/test_optuna_searcher.py", "benchmarks/test_benchmark_problems.py"],
}


def _is_missing(library: str) -> bool:
    try:
        return find_spec(library) is None
    except ModuleNotFoundError:  # a finder that hides it, as one of the tests has
        return True


collect_ignore = [file for library, files in _LIBRARIES.items() if _is_missing(library) for file in files]

# The same examples each time, so that a red run is red again; `--hypothesis-profile=explore` looks for new ones, `few`
# only sees that all tests run.
hypothesis.settings.register_profile("repeat", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("few", derandomize=True, deadline=None, max_examples=3)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("repeat")


def build_wheel(project: Path, into: Path) -> Path:
    """Builds the wheel of a project with the hatchling of the test environment."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    subprocess.run(command, check=True, cwd=project, capture_output=True)
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def gpbt_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of gpbt as this tree makes it."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("gpbt"))


@pytest.fixture(scope="session")
def example_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the example of a third party's searcher."""
    return build_wheel(ROOT / "examples" / "gpbt-searcher-de", tmp_path_factory.mktemp("example"))
