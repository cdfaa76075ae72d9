"""A stranger's searcher in a distribution of its own, installed beside gpbt's wheel and used by its name."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "gpbt-searcher-de"
RUN = """
import gpbt_core, gpbt_searcher_de
from gpbt_core import Float, Int, Optimizer, Space
assert gpbt_core.__file__.startswith({folder!r}) and gpbt_searcher_de.__file__.startswith({folder!r})
optimizer = Optimizer(Space(x=Float(-1, 1), n=Int(1, 9)), population=8, steps=4, seed=3, searcher={searcher})
while not optimizer.finished:
    for trial in optimizer.ask(count=4):
        optimizer.tell(trial.id, trial.config["x"] ** 2 + trial.config["n"])
print(optimizer.best.score)
"""


@pytest.fixture(scope="module")
def python(gpbt_wheel: Path, example_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the two wheels.

    Their dependencies are seen in the test environment, which comes after on the path: so nothing is downloaded, and
    the gpbt under test is not the one that the tests were started with.
    """
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    interpreter = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    install = ["-m", "pip", "--python", str(interpreter), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *install, str(gpbt_wheel), str(example_wheel)], check=True)
    query = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([str(interpreter), "-c", query], check=True, capture_output=True, text=True).stdout.strip()
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return interpreter


def _run(program: Path, *arguments: str, cwd: Path) -> str:
    done = subprocess.run([str(program), *arguments], check=False, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("searcher", ["'de'", "('de', {'weight': 0.5})"])
def test_it_is_used_by_its_name(python: Path, searcher: str, tmp_path: Path) -> None:
    program = RUN.format(folder=str(python.parents[1]), searcher=searcher)
    assert float(_run(python, "-c", program, cwd=tmp_path)) >= 1


def test_it_is_listed_with_the_distribution_that_it_came_from(python: Path, tmp_path: Path) -> None:
    listing = _run(python.with_name("gpbt"), "plugins", cwd=tmp_path)
    (line,) = [line for line in listing.splitlines() if "gpbt-searcher-de" in line]
    assert " de " in line


def test_its_own_tests_pass_where_it_is_installed(python: Path) -> None:
    _run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=EXAMPLE)
