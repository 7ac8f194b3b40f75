"""Every command block of every README runs: small settings, a small folder of music, small tables, a small demo."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile

from data.console.names import COMMANDS

ROOT = Path(__file__).parents[1]
MODULES = {name: module for module, name in COMMANDS.items()}
SIZE = 8 * 1024
"Bytes of the front page at most: what does not fit belongs into a chapter."


def blocks(file: str) -> list[list[str]]:
    """The commands of each ```bash block, those of `htcl` alone."""
    found = re.findall(r"^```bash\n(.*?)^```", (ROOT / file).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [[line for line in block.splitlines() if line.startswith("htcl ")] for block in found]
    return [block for block in commands if block]


LIBRARY, SERVICE, RESEARCH = blocks("README.md")
(DATA, JOINED), (ENCODERS,), (RECSYS, LIVE, AGAIN), (EVAL,) = (
    blocks(f"{name}/README.md") for name in ("data", "encoders", "recsys", "eval")
)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """~/Music, ~/Playlists, songs.csv, plays.csv and lastfm.csv, as the commands name them."""
    folder = tmp_path_factory.mktemp("given")
    rng = np.random.default_rng(0)
    (folder / "Music").mkdir()
    for number in range(6):
        tone = np.sin(np.arange(16_000 * 3) * (0.02 + 0.01 * number)) * 0.3
        soundfile.write(folder / "Music" / f"{number:02} Song number {number}.wav", tone.astype(np.float32), 16_000)
    (folder / "Playlists").mkdir()
    (folder / "Playlists/mine.m3u").write_text("../Music/03 Song number 3.wav\n../Music/04 Song number 4.wav\n")
    scrobbles = [f"{1_700_000_000 + 300 * play},,Somebody,,,,Song number {play % 6}," for play in range(60)]
    header = "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid"
    (folder / "lastfm.csv").write_text("\n".join([header, *scrobbles]) + "\n")
    titles = [f"{word} {number}" for number in range(20) for word in ("Calm", "Loud")]
    songs = pl.DataFrame({"track_id": [f"s{row}" for row in range(40)], "track_name": ["One Song", *titles[1:]]})
    songs.write_csv(folder / "songs.csv")
    start, plays = datetime(2025, 1, 1, tzinfo=UTC), []
    for user in ("ana", "ben", "cleo", "dan"):
        for day in range(60):
            for minute, song in enumerate(rng.choice(20, 4) * 2 + (user in ("ana", "ben"))):
                when = start + timedelta(days=day, minutes=4 * minute, seconds=len(plays))
                plays.append({"who": user, "track_id": f"s{song}", "when": when.isoformat()})
    pl.DataFrame(plays).write_csv(folder / "plays.csv")
    return folder


def run(commands, given: Path, workspace: Path, lines: list[str]) -> list[str]:
    """Run the lines one after the other in one workspace; every one must succeed. Returns what each printed."""
    printed = []
    for line in lines:
        _, name, *words = shlex.split(line)
        words = [word.replace("~/", f"{given}/") for word in words]
        words = [str(given / word) if word in ("songs.csv", "plays.csv", "lastfm.csv") else word for word in words]
        words += ["--tracks", "60"] if words == ["demo"] else []
        result = commands.run(MODULES[name], *words, "-w", workspace)
        assert result.code == 0, f"{line}\n{result.err}"
        printed.append(result.out + result.err)
    return printed


@pytest.fixture(scope="module")
def service(commands, given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("service") / "workspace"
    printed = run(commands, given, workspace, SERVICE)
    assert '"reason"' in printed[-1]
    return workspace


@pytest.fixture(scope="module")
def research(commands, given: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("research") / "workspace"
    run(commands, given, workspace, RESEARCH)
    assert list((workspace / "reports").glob("*.html"))
    return workspace


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= SIZE
    assert [len(block) for block in blocks("README.md")] == [3, 3, 3]


def test_an_own_library(commands, given: Path, tmp_path: Path) -> None:
    printed = run(commands, given, tmp_path / "workspace", LIBRARY)
    assert "Song number" in printed[-1]


def test_files_joined_with_listening(commands, given: Path, tmp_path: Path) -> None:
    printed = run(commands, given, tmp_path / "workspace", JOINED)
    assert "songs matched" in printed[0]
    assert "Song number" in printed[-1]


def test_the_chapters_on_own_tables(commands, given: Path, service: Path, tmp_path: Path) -> None:
    run(commands, given, tmp_path / "workspace", DATA[:1])
    run(commands, given, tmp_path / "other", DATA[1:])
    run(commands, given, service, RECSYS)
    run(commands, given, service, LIVE)
    told, built = run(commands, given, service, AGAIN)
    assert "encoder     stays" in told
    assert "settings    stay" in built
    run(commands, given, tmp_path / "workspace", ENCODERS)


def test_the_chapter_on_evaluation(commands, given: Path, research: Path) -> None:
    run(commands, given, research, EVAL)


def test_no_link_leads_nowhere() -> None:
    for file in (
        "README.md",
        "CONTRIBUTING.md",
        *(f"{name}/README.md" for name in ("data", "encoders", "recsys", "eval")),
    ):
        text = (ROOT / file).read_text("utf-8")
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert ((ROOT / file).parent / target).exists(), f"{file}: {target}"
        for path in re.findall(r"`((?:data|encoders|recsys|eval)/[\w/]+\.\w+)`", text):
            assert (ROOT / path).exists(), f"{file}: {path}"
