"""`python -m recsys.recommend` as a person meets it: what goes to stdout, what to stderr, and the exit code."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields

import polars as pl
import pytest

from recsys.candidates import REASONS
from recsys.line_up import FUSED
from recsys.ranking.recommendation import Recommendation
from recsys.recommender import Recommender

FIELDS = {field.name for field in fields(Recommendation)}


@pytest.fixture
def ask(commands, built):
    """Run the command on the built workspace."""
    return lambda *arguments: commands.run("recsys.recommend", "-w", built, *arguments)


@pytest.fixture(scope="module")
def tracks(built) -> pl.DataFrame:
    return pl.read_parquet(built / "dataset/tracks.parquet")


@pytest.fixture(scope="module")
def user(built) -> str:
    return str(pl.read_parquet(built / "dataset/listens.parquet")["user_id"].sort()[0])


def questions(tracks: pl.DataFrame, user: str) -> dict[str, list[str]]:
    first, second = tracks["track_id"][:2]
    return {
        "user": ["--user", user],
        "like": ["--like", first],
        "playlist": ["--playlist", f"{first}, {second}"],
        "title": ["--title", "rainy sunday"],
        "playlist and title": ["--playlist", first, "--title", "rainy sunday"],
        "text": ["--text", "calm orchestral"],
    }


class TestWishes:
    def test_a_day_blocked_songs_and_one_of_each_artist(self, ask, user):
        plain = json.loads(ask("--user", user, "-k", 8, "--json").out)
        blocked = [song["track_id"] for song in plain[:3]]
        day = ["--day", "2026-11-28", "--block", ", ".join(blocked), "--per-artist", 1]
        found = json.loads(ask("--user", user, "-k", 8, "--json", *day).out)
        artists = [song["artist"] for song in found if song["artist"]]
        assert len(found) == 8
        assert not {song["track_id"] for song in found} & set(blocked)
        assert len(set(artists)) == len(artists)
        assert found == json.loads(ask("--user", user, "-k", 8, "--json", *day).out)

    def test_today_is_a_day(self, ask, user):
        today = ask("--user", user, "--json", "--day", "today", "--not-again", 6)
        assert today.code == 0, today.err
        assert len(json.loads(today.out)) == 10

    @pytest.mark.parametrize(
        ("wish", "said"),
        [
            (["--day", "soon"], "day is 'soon'"),
            (["--not-again", 6], "says nothing here"),
            (["--block", "no such song"], 'no song "no such song"'),
        ],
    )
    def test_what_means_nothing_is_said(self, ask, user, wish, said):
        refused = ask("--user", user, *wish)
        assert refused.code == 2
        assert said in refused.err

    @pytest.mark.parametrize("kind", ["user", "like", "playlist", "title", "text"])
    def test_every_question_takes_filters(self, ask, tracks, user, kind):
        genre = tracks["genres"].explode().drop_nulls().mode()[0]
        options = ["--genre", f"{genre}, {genre}", "--duration", "10..", "--released", "2000..2030", "--per-artist", 0]
        options.append("--playable" if kind in ("user", "text") else "--no-playable")
        found = json.loads(ask(*questions(tracks, user)[kind], *options, "--json", "-k", 60).out)
        assert found
        genres = dict(tracks.select("track_id", "genres").iter_rows())
        assert all(genre in genres[song["track_id"]] and song["duration_s"] >= 10 for song in found)

    def test_an_artist_is_a_seed_for_and_against(self, ask, tracks, user):
        artist, other = tracks["artist"].drop_nulls().unique(maintain_order=True)[:2]
        result = ask("--like", f"artist:{artist}", "--less-like", f"artist:{other}", "-k", 5)
        assert result.out.startswith(f"Like {artist}")
        options = ["--more-like", f"artist:{artist}", "--less-like", f"artist:{other}", "--json"]
        found = json.loads(ask("--user", user, *options).out)
        assert len(found) == 10
        assert not {artist, other} & {song["artist"] for song in found}

    def test_artists_can_be_blocked_and_songs_listed(self, ask, tracks, user):
        known = tracks.filter(pl.col("artist").is_not_null())
        only, artist = known["track_id"][:20].to_list(), known["artist"][3]
        options = ["--only", ",".join(only), "--block-artist", artist.upper(), "--per-album", 1, "--versions"]
        found = json.loads(ask("--like", tracks["track_id"][40], *options, "--json", "-k", 20).out)
        assert found
        assert {song["track_id"] for song in found} <= set(only)
        assert artist not in {song["artist"] for song in found}
        assert len({song["album"] for song in found if song["album"]}) == sum(bool(song["album"]) for song in found)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--text", "calm", "--day", "today"], "day says nothing to search"),
            (["--like", "track-0001", "--heard"], "heard says nothing to similar"),
            (["--title", "calm", "--genre", "polka polka"], 'no genre "polka polka"'),
            (["--text", "calm", "--duration", "long"], '"long" is no range of numbers'),
            (["--text", "calm", "--released", "soon.."], "released is 'soon'"),
        ],
    )
    def test_what_says_nothing_is_a_mistake(self, ask, options, said):
        refused = ask(*options)
        assert refused.code == 2
        assert said in refused.err


@pytest.mark.parametrize("kind", ["user", "like", "playlist", "title", "playlist and title", "text"])
class TestEveryQuestion:
    def test_json_is_all_there_is_on_stdout(self, ask, tracks, user, kind):
        result = ask(*questions(tracks, user)[kind], "--json", "-k", 5)
        assert result.code == 0, result.err
        found = json.loads(result.out)
        assert len(found) == 5
        assert all(set(song) == FIELDS for song in found)
        assert {song["track_id"] for song in found} <= set(tracks["track_id"])

    def test_a_table_is_for_people(self, ask, tracks, user, kind):
        result = ask(*questions(tracks, user)[kind], "-k", 3)
        assert result.code == 0, result.err
        heading, *rows = result.out.splitlines()
        assert heading.startswith(("For", "Like", "To"))
        assert "title" in rows[0]
        assert "why" in rows[0]
        assert "Traceback" not in result.err


def test_a_path_leads_from_one_song_to_another(ask, tracks):
    start, goal = tracks["track_id"][0], tracks["track_id"][30]
    found = json.loads(ask("--path", start, goal, "-k", 6, "--per-album", 1, "--json").out)
    assert (found[0]["track_id"], found[-1]["track_id"]) == (start, goal)
    assert len(found) == 6
    assert ask("--path", start, goal).out.startswith(f"From {start} to {goal}")
    assert "--path" in ask("--path", start, goal, "--text", "calm").err


def test_says_what_the_python_api_says(ask, built, user):
    result = ask("--user", user, "--json", "-k", 10)
    expected = Recommender.load(built).recommend(user, 10)
    assert [song["track_id"] for song in json.loads(result.out)] == [song.track_id for song in expected]


def test_a_song_may_be_named_by_its_title_in_any_case(ask, tracks):
    titles = tracks["title"].str.to_lowercase()
    row = next(row for row in range(tracks.height) if (titles == titles[row]).sum() == 1 and "," not in titles[row])
    by_id = ask("--like", tracks["track_id"][row], "--json")
    by_title = ask("--like", tracks["title"][row].upper(), "--json")
    assert by_title.out == by_id.out != ""


class TestMistakes:
    def assert_refused(self, result, *words: str) -> None:
        """Exit code 2, at most a few lines, no traceback, nothing on stdout."""
        assert result.code == 2
        assert result.out == ""
        assert result.err.startswith("error: ")
        assert len(result.err.splitlines()) <= 3
        for word in words:
            assert word in result.err

    def test_an_unknown_listener(self, ask, user):
        self.assert_refused(
            ask("--user", user + "x", "--json"), f'no listener "{user}x"', user, "--like", "48 listeners"
        )

    def test_an_unknown_song(self, ask, tracks):
        near = tracks["track_id"][0]
        self.assert_refused(ask("--like", near + "x"), f'no song "{near}x"', f'closest name is "{near}"')

    def test_an_unknown_song_in_a_playlist(self, ask, tracks):
        self.assert_refused(ask("--playlist", f"{tracks['track_id'][0]},zzzzzz"), 'no song "zzzzzz"')

    def test_no_question(self, ask):
        self.assert_refused(ask(), "--user", "--like", "--text", "--playlist or --title")

    def test_two_questions(self, ask, user):
        self.assert_refused(ask("--user", user, "--text", "calm"), "one of")

    def test_empty_words(self, ask):
        self.assert_refused(ask("--text", " "), "nothing to search for")

    def test_no_workspace(self, commands, tmp_path):
        result = commands.run("recsys.recommend", "-w", tmp_path / "none", "--text", "calm")
        self.assert_refused(result, "no dataset in", "data.prepare")

    def test_a_dataset_without_an_index(self, commands, copy_of_built):
        shutil.rmtree(copy_of_built / "live")
        (copy_of_built / "index/CURRENT").unlink()
        result = commands.run("recsys.recommend", "-w", copy_of_built, "--text", "calm")
        self.assert_refused(result, "no index", "recsys.build_index")

    def test_not_a_number_of_songs(self, ask):
        assert ask("--text", "calm", "-k", 0).code == 2
        assert ask("--text", "calm", "-k", "many").code == 2

    def test_debug_shows_where(self, ask):
        result = ask("--like", "zzzzzz", "--debug")
        assert result.code != 0
        assert "Traceback" in result.err


def test_the_same_in_a_process_that_python_started_itself(built):
    command = [sys.executable, "-m", "recsys.recommend", "-w", str(built), "--like", "zzzzzz", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith('error: no song "zzzzzz"')


def test_every_source_of_the_fusion_has_a_reason_in_words():
    assert set(FUSED) <= set(REASONS)


@pytest.mark.parametrize("asked", ["user", "like"])
def test_an_answer_that_needs_no_words_loads_no_torch(built, tracks, user, asked):
    code = (
        "import sys, json\nfrom recsys.recommend import app\napp(standalone_mode=False)\n"
        "print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "-w", str(built), *questions(tracks, user)[asked]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert not set(json.loads(ended.stderr.splitlines()[-1])) & {"torch", "transformers", "sklearn", "optuna"}
