"""What is in the wheel, and that the lists of dependencies agree with one another."""

import contextlib
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOR_WORK_ON_GPBT = {"test", "bench", "docs"}


def _pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def _closure(requirements: list[str]) -> set[str]:
    """The names of all distributions that the requirements bring; what is not installed brings nothing but itself."""
    found: set[str] = set()
    open_ends = [Requirement(text) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while open_ends:
        requirement = open_ends.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            inner = map(Requirement, metadata.requires(name) or [])
            open_ends.extend(each for each in inner if _applies(each, extras))
    return found


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def test_the_wheel_holds_the_four_packages_and_nothing_else(gpbt_wheel: Path) -> None:
    names = zipfile.ZipFile(gpbt_wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"gpbt", "gpbt_core", "gpbt_searchers", "gpbt_adapters", f"gpbt-{PROJECT['version']}.dist-info"}
    for package in ("gpbt", "gpbt_core", "gpbt_searchers", "gpbt_adapters"):
        assert f"{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_extra_all_is_every_extra_that_an_adapter_has() -> None:
    extras = PROJECT["optional-dependencies"]
    (everything,) = extras["all"]
    assert Requirement(everything).extras == set(extras) - FOR_WORK_ON_GPBT - {"all"}


def test_every_distribution_that_the_tests_run_with_is_pinned() -> None:
    unpinned = _closure(["gpbt[all,test]"]) - _pins().keys() - {"gpbt"}
    assert not unpinned


def test_every_pin_satisfies_what_the_project_asks_for() -> None:
    pins = _pins()
    for texts in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()):
        for requirement in map(Requirement, texts):
            name = canonicalize_name(requirement.name)
            assert name == "gpbt" or requirement.specifier.contains(pins[name]), requirement
