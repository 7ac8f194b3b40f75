"""The wheel: one name, beside folders of the user's that are called like our packages, and the commands work there."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the project's own build hook."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own project with the wheel unpacked beside it: plain folders data/ and eval/, a module encoders.py."""
    folder = tmp_path_factory.mktemp("project")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    for name, content in {
        "data/mine.py": "value = 1",
        "eval/score.py": "value = 2",
        "encoders.py": "value = 3",
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content + "\n")
    return folder


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python that sees the project, the unpacked wheel and the environment's libraries, but not this checkout."""
    code = (
        "import os, sys, runpy; "
        f"sys.path[:] = [{str(project)!r}, {str(project / 'site')!r}, "
        "*(p for p in sys.path if p and not os.path.isdir(os.path.join(p, 'recsys')))]; "
    )
    command = [sys.executable, "-c", code + words[0], *words[1:]]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=240)


def test_holds_one_package_and_the_entry_point(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry,) = (name for name in names if name.endswith("entry_points.txt"))
        assert "htcl = htcl.eval.command_line:main" in archive.read(entry).decode()
        sources = {name: archive.read(name).decode() for name in names if name.endswith(".py")}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"htcl"}
    assert {"htcl/py.typed", "htcl/eval/report/templates/page.html", "htcl/recsys/__init__.pyi"} <= set(names)
    for name, source in sources.items():
        for package in ("data", "encoders", "recsys", "eval"):
            assert f"\nfrom {package}." not in source, name


def test_the_users_own_folders_keep_importing(project: Path) -> None:
    ended = run(project, "import htcl, data.mine, eval.score, encoders; print(data.mine.value + eval.score.value)")
    assert (ended.returncode, ended.stdout) == (0, "3\n"), ended.stderr


def test_the_door_opens(project: Path) -> None:
    ended = run(project, "from htcl import Recommender, HtclModel, load_dataset; print(Recommender.__module__)")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "htcl.recsys.recommender\n"


def test_the_commands_work_and_name_themselves(project: Path) -> None:
    (project / "songs.csv").write_text("track_id,title,artist\na,One,X\nb,Two,Y\n")
    start = "from htcl.eval.command_line import main; sys.argv[0] = 'htcl'; main()"
    made = run(project, start, "prepare", "tables", "--tracks", "songs.csv", "-w", "w")
    assert made.returncode == 0, made.stderr
    assert "2 tracks" in made.stderr
    assert "htcl build" in made.stderr
    asked = run(project, start, "recommend", "--like", "One", "-w", "w")
    assert asked.returncode == 2
    assert "no index" in asked.stderr
    assert "htcl build" in asked.stderr
    for command in ("build", "evaluate", "bench", "report", "ablation", "train", "embed", "convert"):
        assert run(project, start, command, "--help").returncode == 0, command
