"""The house stays one that a stranger finds a way in: small files, small folders, a public surface for each package."""

import ast
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "encoders", "recsys", "eval")
MOST_LINES, MOST_MODULES = 350, 12


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_and_no_folder_outgrows_a_reader(package: str) -> None:
    for folder in [ROOT / package, *(path for path in (ROOT / package).rglob("*") if path.is_dir())]:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= MOST_MODULES, f"{folder.relative_to(ROOT)} holds {len(modules)} modules"
        for module in modules:
            assert len(module.read_text("utf-8").splitlines()) <= MOST_LINES, module.relative_to(ROOT)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_and_room_says_what_it_holds(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path.relative_to(ROOT)} has no docstring"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_the_version_of_the_project(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert import_module(package).__version__ == project["version"]
