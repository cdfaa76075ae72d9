"""The documentation: its code runs page by page, its commands exist, and what is built asks no other host."""

import importlib
import inspect
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from gpbt_adapters.cli.main import cli
from page_blocks import ROOT, as_one_script, blocks_of, check_outputs, run_page

DOCS = ROOT / "docs"
PAGES = sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
DOORS = sorted(path for path in (ROOT / "adapters" / "gpbt").glob("*.py") if path.stem != "__init__")
WITH_CODE = [name for name in PAGES if any(block.language in ("python", "sh") for block in blocks_of(DOCS / name))]
SCRIPTS = [
    "tutorial/jax.md",
    "tutorial/keras.md",
    "tutorial/lightning.md",
    "tutorial/pytorch.md",
    "tutorial/reinforcement-learning.md",
    "tutorial/scikit-learn.md",
    "tutorial/transformers.md",
]
"""Pages that run as one script, because their own code starts worker processes, which import it."""
WITHOUT_TENSORFLOW = 'import sys\n\nsys.modules["tensorflow"] = None\n'
"""Otherwise TensorBoard imports it for Stable-Baselines3, which is two thirds of the start of each process."""
GPUS = "guides/parallel.md"
BLOCK_BY_BLOCK = [name for name in WITH_CODE if name not in {*SCRIPTS, GPUS}]

NEEDS = {
    "guides/from-optuna.md": ["optuna"],
    "guides/from-ray-tune.md": ["ray.tune"],
    "guides/ray.md": ["ray.tune", "sqlalchemy"],
    "guides/resuming.md": ["sqlalchemy"],
    "guides/seeing.md": ["matplotlib", "pandas", "plotly", "sqlalchemy"],
    "guides/spaces.md": ["ConfigSpace", "optuna"],
    "importance.md": ["optuna"],
    "searchers/cmaes.md": ["cmaes"],
    "searchers/index.md": ["optuna"],
    "searchers/optuna.md": ["optuna", "torch"],
    "tutorial/boosting.md": ["catboost", "lightgbm", "xgboost"],
    "tutorial/jax.md": ["equinox", "flax", "optax"],
    "tutorial/keras.md": ["keras", "matplotlib", "plotly", "sqlalchemy", "tensorflow"],
    "tutorial/lightning.md": ["lightning"],
    "tutorial/pytorch.md": ["matplotlib", "plotly", "sqlalchemy", "torch"],
    "tutorial/reinforcement-learning.md": ["stable_baselines3"],
    "tutorial/scikit-learn.md": ["matplotlib", "pandas", "plotly", "sqlalchemy"],
    "tutorial/transformers.md": ["accelerate", "transformers"],
}
"""The optional libraries of a page; without them it is left out."""


# Keras 3.15 turns TensorFlow's variables into arrays in a way that numpy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.parametrize("name", BLOCK_BY_BLOCK)
def test_every_block_of_python_and_every_command_runs_in_the_order_of_the_page(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for library in NEEDS.get(name, []):
        pytest.importorskip(library, exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / name, monkeypatch)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_tutorial_runs_as_one_script_with_worker_processes(name: str, tmp_path: Path) -> None:
    for library in NEEDS[name]:
        pytest.importorskip(library, exc_type=ImportError)
    script = as_one_script(DOCS / name)
    assert "workers=2" in script
    preamble = "" if "tensorflow" in NEEDS[name] else WITHOUT_TENSORFLOW
    (tmp_path / "page.py").write_text(preamble + script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best: ") >= 2
    check_outputs(DOCS / name, done.stdout)


def test_a_page_runs_in_order_and_its_recipe_of_a_gpu_for_each_worker_gives_each_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / GPUS, monkeypatch)
    assert sorted(re.findall(r"has GPU (\d)", capsys.readouterr().out)) == ["0", "1"]


@pytest.mark.parametrize("name", PAGES)
def test_every_command_of_gpbt_that_a_page_names_exists(name: str) -> None:
    context = click.Context(cli)
    for command in re.findall(r"`gpbt (\w+)", (DOCS / name).read_text(encoding="utf-8")):
        assert cli.get_command(context, command) is not None


@pytest.fixture(scope="module")
def _all_libraries() -> None:
    for library in ("torch", "keras", "xgboost", "lightgbm", "optuna", "ray", "sqlalchemy", "starlette", "cmaes"):
        pytest.importorskip(library, exc_type=ImportError)


@pytest.mark.usefixtures("_all_libraries")
def test_the_tables_of_the_reference_agree_with_the_docstrings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])
    with pytest.raises(SystemExit) as ended:  # in this process, which has imported the libraries for other tests
        runpy.run_path(str(DOCS / "reference.py"), run_name="__main__")
    assert (ended.value.code, capsys.readouterr().out) == (0, "")


def test_the_diagrams_are_those_of_the_code() -> None:
    program = [sys.executable, "docs/diagrams.py", "--check"]
    assert subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT).stdout == ""


def _homes() -> list[str]:
    """Every public path that the reference documents."""
    texts = [(DOCS / name).read_text(encoding="utf-8") for name in PAGES]
    return [path for text in texts for path in re.findall(r"^::: ([\w.]+)", text, re.MULTILINE)]


def test_no_public_name_has_two_homes() -> None:
    homes = _homes()
    assert len(homes) == len(set(homes))


@pytest.mark.usefixtures("_all_libraries")
def test_every_public_name_of_gpbt_has_exactly_one_documented_home() -> None:
    documented = [_named(path) for path in _homes() if path.startswith("gpbt.")]
    modules = ["gpbt", *(f"gpbt.{page.stem}" for page in DOORS)]
    public = {id(_named(f"{module}.{name}")) for module in modules for name in importlib.import_module(module).__all__}
    assert sorted(map(id, documented)) == sorted(public)


@pytest.mark.usefixtures("_all_libraries")
def test_examples_in_the_reference_stand_under_a_heading_of_their_own() -> None:
    for path in _homes():
        thing = _named(path)
        if inspect.isclass(thing) or inspect.isroutine(thing):
            text = inspect.getdoc(thing) or ""
            assert ">>>" not in text or re.search(r"^Examples:$", text, re.MULTILINE), path


def _named(path: str) -> object:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_page_on_installation_names_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (DOCS / "installation.md").read_text(encoding="utf-8")
    for extra in project["optional-dependencies"].keys() - {"test", "bench", "docs"}:
        assert re.search(rf"^\|.*`{extra}`.*\|", text, re.MULTILINE), extra


def test_the_site_is_built_without_fonts_and_addresses_of_other_hosts() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    settings = yaml.safe_load(text)
    assert settings["theme"]["font"] is False
    assert "repo_url" not in settings
    assert "://" not in text
