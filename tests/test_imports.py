"""What importing costs, what it loads, and that imports go only where the architecture lets them."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _answer(program: str, **environment: str) -> list[str]:
    """The words that a program prints in a new interpreter."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={**inherited, **environment}
    )
    return done.stdout.split()


def _loaded_by(statement: str) -> set[str]:
    """The names of all modules that a new interpreter holds after a statement."""
    return set(_answer(f"{statement}\nimport sys; print('\\n', *sys.modules)"))


def _seconds(module: str, bytecode: Path) -> float:
    """How much processor time an import takes in a new interpreter, the start of which is not counted."""
    program = f"import time; start = time.process_time()\nimport {module}\nprint(time.process_time() - start)"
    return float(_answer(program, PYTHONPYCACHEPREFIX=str(bytecode))[0])


def test_importing_the_core_loads_no_library_but_the_ones_it_is_made_of() -> None:
    heavy = {"scipy", "sklearn", "torch", "tensorflow", "optuna", "rich", "click", "gpbt_searchers", "gpbt_adapters"}
    assert not heavy & _loaded_by("import gpbt_core")


def test_importing_the_core_costs_about_twice_what_numpy_costs(tmp_path: Path) -> None:
    for module in ("gpbt_core", "numpy"):
        _seconds(module, tmp_path)  # compiles it, as an installation has done
    # The fastest of several, taken in turns: what else the machine does can only add.
    pairs = [(_seconds("gpbt_core", tmp_path), _seconds("numpy", tmp_path)) for _ in range(8)]
    # Near 2 on a quiet machine, 2.1 on another: the bound catches a library that slips in, which would cost more.
    assert min(core for core, _ in pairs) <= 2.5 * min(numpy for _, numpy in pairs)


def test_the_help_of_the_command_line_loads_no_numerical_library() -> None:
    loaded = _loaded_by("from gpbt_adapters.cli.main import main; assert main(['--help']) == 0")
    assert not {"numpy", "scipy", "sklearn", "rich"} & loaded


def test_listing_the_searchers_loads_none_of_their_libraries() -> None:
    loaded = _loaded_by("import gpbt_searchers; assert list(gpbt_searchers.gpbt_searchers())")
    assert not {"scipy", "sklearn", "optuna"} & loaded


def test_imports_keep_to_the_contracts_of_the_architecture() -> None:
    # What it prints, which names the chain of imports at fault, is shown by pytest where this fails.
    # In a process of its own: it configures logging, and with that silences the loggers that other tests listen to.
    check = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("package", ["gpbt", "gpbt_core", "gpbt_searchers", "gpbt_adapters"])
def test_each_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    (folder,) = importlib.import_module(package).__path__
    assert (Path(folder) / "py.typed").is_file()
