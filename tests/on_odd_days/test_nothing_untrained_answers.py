"""A step that had nothing to learn from says so, and nothing it made answers in its name."""

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data.errors import UserError
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from recsys import Recommender
from recsys.ranking.recommendation import Recommendation
from tests.on_odd_days.tables import built, plays, songs
from tests.recsys.commands import Commands

LAST = 6
"The lines of a build that people read."


class TestTracksAlone:
    """No sound and no listening: there is nothing to train either stage on."""

    @pytest.fixture(scope="class")
    def build(self, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
        return built(commands, tmp_path_factory.mktemp("tracks"), tracks=songs())

    @pytest.fixture(scope="class")
    def recommender(self, build: tuple[Path, str]) -> Recommender:
        return Recommender.load(build[0])

    def test_the_build_says_in_its_last_lines_what_is_untrained(self, build: tuple[Path, str]) -> None:
        last = "\n".join(build[1].splitlines()[-LAST:])
        assert "stage 1 is untrained: no two songs have both audio and text" in last
        assert "stage 2 is untrained" in last

    def test_words_are_looked_up_in_the_texts(self, recommender: Recommender) -> None:
        found = recommender.search("river", 20)
        assert len(found) == 8
        assert all("river" in str(song.title) for song in found)
        assert not any("fits" in song.reason for song in found)

    def test_words_that_no_text_has_are_refused_with_the_reason(self, recommender: Recommender) -> None:
        with pytest.raises(UserError, match='by "sad piano"; this encoder never learned what words mean'):
            recommender.search("sad piano")

    def test_likeness_is_refused(self, recommender: Recommender) -> None:
        with pytest.raises(UserError, match="untrained"):
            recommender.similar("t00")

    @pytest.mark.parametrize("title", ["river songs", "qwertyuiop", " "])
    def test_a_title_alone_is_answered_by_its_words_and_then_by_what_is_new(
        self, recommender: Recommender, title: str
    ) -> None:
        found = recommender.continue_playlist([], title=title, k=12)
        assert len(found) == 12
        assert not any("fits" in song.reason or "htcl-stage2" in song.sources for song in found)
        assert ("river" in str(found[0].title)) == ("river" in title)

    def test_nothing_sounds_or_reads_like_anything(self, recommender: Recommender) -> None:
        asked: list[list[Recommendation]] = [
            recommender.continue_playlist(["t00", "t01"], title="river", k=12),
            recommender.next_song(["t00"], 12),
            recommender.recommend("a stranger", 12),
        ]
        for found in asked:
            assert len(found) == 12
            assert not any("sounds" in song.reason or "htcl-stage2" in song.sources for song in found)


class TestAllAtOneTime:
    """Every listen has the same time: a split by time would leave nothing to learn from."""

    @pytest.fixture(scope="class")
    def build(self, commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
        listens = plays(apart=timedelta(0))
        return built(commands, tmp_path_factory.mktemp("instant"), tracks=songs(), listens=listens)

    def test_each_listeners_own_order_is_divided_and_that_is_said(self, build: tuple[Path, str]) -> None:
        assert "time leaves 0 of 960 plays for train, and 80% are due" in build[1]
        split = read_manifest(Workspace(build[0]).split)
        assert split is not None
        assert split.facts["order"] == "position"

    def test_the_vocabulary_is_of_all_texts_and_the_vectors_differ(self, build: tuple[Path, str]) -> None:
        encoder, vectors = (read_manifest(place) for place in (build[0] / "encoder", build[0] / "vectors/preference"))
        assert encoder is not None
        assert vectors is not None
        assert encoder.facts["tokens"] > 50
        assert vectors.facts["distinct"] == 48
        assert len(np.unique(np.load(build[0] / "vectors/preference/item.npy"), axis=0)) == 48

    def test_the_report_repeats_it(self, build: tuple[Path, str], commands: Commands, tmp_path: Path) -> None:
        report = tmp_path / "report.json"
        done = commands.run("eval.run", "-w", build[0], "--task", "next-song", "--json", report)
        assert done.code == 0, done.err
        assert "time leaves 0 of 960 plays for train" in done.out
        assert "stage 1 is untrained" in json.dumps(json.loads(report.read_text()))


def test_nothing_is_better_where_vectors_do_not_differ(commands: Commands, tmp_path: Path) -> None:
    """Every song has the same text and no sound, so no song has a vector of its own."""
    bare = songs().select("track_id", title=pl.lit("?"))
    workspace, said = built(commands, tmp_path, tracks=bare, listens=plays())
    report = tmp_path / "report.json"
    done = commands.run("eval.run", "-w", workspace, "--task", "next-song", "--json", report)
    assert done.code == 0, done.err
    assert "nearness says nothing" in said
    assert "nearness says nothing" in done.out
    assert json.loads(report.read_text())["tests"] == []
