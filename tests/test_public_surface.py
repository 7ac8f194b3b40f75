"""What an import and every `--help` bring in, what the packages export, and what happens where a name is taken."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "encoders", "recsys", "eval")
HEAVY = {"torch", "faiss", "transformers", "sklearn", "implicit", "optuna", "torchaudio"}
COMMANDS = (
    "prepare",
    "build",
    "events",
    "recommend",
    "evaluate",
    "report",
    "bench",
    "ablation",
    "train",
    "embed",
    "convert",
)
LOADED = "import sys, json; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})), file=sys.stderr)"


def python(code: str, folder: Path, *arguments: str, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run code in a folder, as `python -c` does: the folder comes first on the search path."""
    environment = {**os.environ, "PYTHONPATH": str(path), "COLUMNS": "120"}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_brings_in_nothing_heavy(package: str, tmp_path: Path) -> None:
    ended = python(f"import {package}; {LOADED}", tmp_path)
    assert ended.returncode == 0, ended.stderr
    loaded = set(json.loads(ended.stderr.splitlines()[-1]))
    assert not loaded & (HEAVY | {"polars", "duckdb", "numpy"})


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_brings_in_nothing_heavy(command: str, tmp_path: Path) -> None:
    code = f"import atexit\natexit.register(lambda: exec({LOADED!r}))\nfrom eval.command_line import main\nmain()"
    ended = python(code, tmp_path, *command.split(), "--help")
    assert ended.returncode == 0, ended.stderr
    assert "Usage" in ended.stdout
    assert not set(json.loads(ended.stderr.splitlines()[-1])) & HEAVY


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_name_is_there_and_documented(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__
    for name in module.__all__:
        exported = getattr(module, name)
        assert not isinstance(exported, type(importlib)), f"{package}.{name} is a module, not what it exports"
        assert exported.__doc__ or not callable(exported)
    assert (Path(module.__file__ or "").parent / "py.typed").is_file()


def test_exports_are_the_same_whatever_was_imported_before(tmp_path: Path) -> None:
    # A submodule of the same name as an export would take its place as soon as something imported it.
    for package in PACKAGES:
        module = importlib.import_module(package)
        below = {path.stem for path in Path(module.__file__ or "").parent.iterdir()}
        assert not below & set(module.__all__), package


@pytest.mark.parametrize("taken", ["data.py", "encoders.py", "data/__init__.py"])
def test_a_file_of_the_users_that_hides_a_package_is_named(taken: str, tmp_path: Path) -> None:
    file = tmp_path / taken
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine = 1\n")
    ended = python("from recsys import Recommender", tmp_path)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("ImportError")
    assert str(file) in last
    assert "htcl" in last


def test_the_console_script_works_beside_files_of_the_same_names(tmp_path: Path) -> None:
    for taken in ("data.py", "eval.py", "recsys.py", "encoders.py"):
        (tmp_path / taken).write_text("raise SystemExit('this file of the caller must not run')\n")
    script = Path(sys.executable).with_name("htcl")
    if not script.is_file():
        pytest.fail("the console script htcl is not installed beside this Python")
    ended = subprocess.run([str(script), "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "recommend" in ended.stdout


def test_the_console_script_names_commands_by_its_own_name(tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'htcl'\nfrom eval.command_line import main\nmain()"
    ended = python(code, tmp_path, "recommend", "--user", "nobody")
    assert ended.returncode == 2
    assert "htcl prepare" in ended.stderr
    assert "python -m" not in ended.stderr
