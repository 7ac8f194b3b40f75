"""Songs and listens come and go: encoders and settings stay until somebody asks, and what is new is answered."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from data.dataset import load_dataset, save_dataset
from data.storage.manifest import Manifest, read_manifest
from data.storage.workspace import Workspace
from data.tables import SCHEMAS, Imported
from recsys.recommender import Recommender
from tests.recsys.faults import answering
from tests.recsys.workspaces import file_times

NEW, GONE = "brand-new", "track-0003"


def tables_of(root: Path) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(root / "dataset" / f"{name}.parquet") for name in SCHEMAS}


def changed(root: Path, heard: bool = True) -> None:
    """One song comes, sounding like the first, and is played by everybody at last; one song goes."""
    tables = tables_of(root)
    audio = str(load_dataset(Workspace(root)).audio_file(0))
    first = tables["tracks"].head(1).with_columns(track_id=pl.lit(NEW), audio_path=pl.lit(audio))
    tables["tracks"] = pl.concat([tables["tracks"], first])
    if heard:
        last = tables["listens"].sort("listened_at").group_by("user_id").last().select(tables["listens"].columns)
        plays = last.with_columns(track_id=pl.lit(NEW), listened_at=pl.col("listened_at") + timedelta(minutes=5))
        tables["listens"] = pl.concat([tables["listens"], plays])
    for name, table in tables.items():
        if "track_id" in table.columns:
            tables[name] = table.filter(pl.col("track_id") != GONE)
    facts = read_manifest(root / "dataset").facts  # type: ignore[union-attr]
    save_dataset(Workspace(root), Imported(tables, facts={"simulated": facts["simulated"]}), {"importer": "test"})


def encoded(root: Path) -> list[str]:
    return pl.read_parquet(answering(root) / "vectors/preference/item-ids.parquet")["track_id"].to_list()


def trained(root: Path) -> dict[str, Manifest | None]:
    folders = ("encoder", "encoder-semantic", "tuning/encoder", "tuning/encoder-semantic", "tuning/models")
    return {folder: read_manifest(root / folder) for folder in folders}


@pytest.fixture
def grown(copy_of_built: Path) -> Path:
    changed(copy_of_built)
    return copy_of_built


def test_a_song_that_came_is_answered_and_one_that_went_is_not_without_training_or_tuning(commands, grown):
    before = trained(grown)
    result = commands.run("recsys.build_index", "-w", grown)
    assert result.code == 0, result.err
    assert "1 new, 0 changed, 1 gone" in result.err
    assert "1 songs encoded" not in result.err  # it sounds and reads like one that is known
    assert trained(grown) == before
    rec = Recommender.load(grown)
    assert NEW in [song.track_id for song in rec.similar("track-0001", 5, versions=True)]
    assert GONE not in rec.dataset.track_ids.names
    everything = rec.recommend(rec.dataset.user_ids.names[0], 1000, heard=True, per_artist=0, versions=True)
    assert NEW in [song.track_id for song in everything]
    assert GONE not in [song.track_id for song in everything]


def test_it_ends_where_a_build_of_the_same_data_with_the_same_encoder_does(commands, grown, tmp_path):
    assert commands.run("recsys.build_index", "-w", grown).code == 0
    once = answering(grown)
    assert commands.run("recsys.build_index", "-w", grown).code == 0
    assert answering(grown) == once


@pytest.mark.parametrize("moment", ["*/vectors/semantic", "*/vectors/preference", "*/models", "*/index/CURRENT"])
def test_while_it_is_built_the_old_songs_answer(commands, grown, moment):
    assert commands.run("recsys.build_index", "-w", grown, die=("after", moment)).code == -9
    assert GONE in Recommender.load(grown).dataset.track_ids.names
    assert commands.run("recsys.build_index", "-w", grown).code == 0
    assert GONE not in Recommender.load(grown).dataset.track_ids.names


@pytest.mark.parametrize("imports", [True, False], ids=["as prepared now", "prepared before there were imports"])
def test_a_takedown_outlives_every_build_until_it_is_taken_back(commands, copy_of_built, imports):
    root = copy_of_built
    if not imports:
        shutil.rmtree(root / "imports")
    assert commands.run("data.events", "remove", GONE, "--reason", "rights", "-w", root).code == 0
    for _ in range(2):
        assert commands.run("recsys.build_index", "-w", root).code == 0
        assert GONE not in Recommender.load(root).dataset.track_ids.names
        assert GONE not in encoded(root)
    assert commands.run("data.events", "restore", GONE, "-w", root).code == 0
    assert commands.run("recsys.build_index", "-w", root).code == 0
    assert GONE in Recommender.load(root).dataset.track_ids.names


def test_who_is_open_goes_on_and_opens_the_newest_when_asked(commands, copy_of_built):
    opened = Recommender.load(copy_of_built)
    assert opened.newest() is opened
    changed(copy_of_built)
    assert opened.newest() is opened
    assert commands.run("recsys.build_index", "-w", copy_of_built).code == 0
    newest = opened.newest()
    assert (GONE in opened.dataset.track_ids.names, GONE in newest.dataset.track_ids.names) == (True, False)
    assert newest.newest() is newest


def test_training_again_is_asked_for(commands, grown):
    before = trained(grown)
    assert commands.run("recsys.build_index", "-w", grown, "--retrain").code == 0
    after = trained(grown)
    assert all(after[name] != before[name] for name in before)


def test_tuning_again_is_asked_for_and_trains_nothing(commands, grown):
    before = trained(grown)
    assert commands.run("recsys.build_index", "-w", grown, "--tune").code == 0
    after = trained(grown)
    assert [name for name in before if after[name] != before[name]] == ["tuning/models"]


def test_what_a_build_would_do_is_said_and_not_done(commands, grown):
    times = file_times(grown)
    said = commands.run("recsys.build_index", "-w", grown, "--dry-run")
    assert said.code == 0, said.err
    assert "1 new, 0 changed, 1 gone" in said.err
    assert "encoder     stays" in said.err
    assert "settings    stay" in said.err
    again = commands.run("recsys.build_index", "-w", grown, "--dry-run", "--retrain")
    assert "stage 1 and stage 2, to be published" in again.err
    assert "settings of every source" in again.err
    assert file_times(grown) == times


def test_what_an_evaluation_measures_has_learned_from_the_split_that_it_measures_on(commands, grown):
    before = trained(grown)
    result = commands.run("eval.run", "-w", grown, "--task", "next-song", "--json", grown / "report.json")
    assert result.code == 0, result.err
    after = trained(grown)
    assert all(after[name] != before[name] for name in before)
    split = read_manifest(grown / "split")
    assert split is not None
    for name in ("encoder", "tuning/encoder", "models"):
        made = read_manifest(grown / name)
        assert made is not None
        assert (made.trained_on or {})["split"] == split.fingerprint


def test_a_workspace_built_for_production_stays_one(commands, copy_of_built):
    assert commands.run("recsys.build_index", "-w", copy_of_built, "--train-on", "all").code == 0
    before = trained(copy_of_built)
    changed(copy_of_built)
    assert commands.run("recsys.build_index", "-w", copy_of_built).code == 0
    assert trained(copy_of_built) == before
    models = read_manifest(copy_of_built / "models")
    assert models is not None
    assert (models.trained_on or {})["part"] == "all"


def test_the_first_listening_trains_and_tunes_what_had_nothing_to_learn_from(commands, copy_of_built, tmp_path):
    tables, root = tables_of(copy_of_built), tmp_path / "silent"
    audio = [str(load_dataset(Workspace(copy_of_built)).audio_file(row)) for row in range(tables["tracks"].height)]
    tables["tracks"] = tables["tracks"].with_columns(audio_path=pl.Series(audio))
    space, settings = Workspace(root), {"importer": "test"}
    save_dataset(space, Imported({"tracks": tables["tracks"]}), settings)
    assert commands.run("recsys.build_index", "-w", root).code == 0
    silent = trained(root)
    assert silent["encoder"] is not None
    assert silent["encoder"].facts["skipped"]
    # One song more, and still nobody plays: nothing is trained.
    more = pl.concat([tables["tracks"], tables["tracks"].head(1).with_columns(track_id=pl.lit(NEW))])
    save_dataset(space, Imported({"tracks": more}), settings)
    assert commands.run("recsys.build_index", "-w", root).code == 0
    assert trained(root) == silent
    save_dataset(space, Imported({**tables, "tracks": more}), settings)
    assert commands.run("recsys.build_index", "-w", root).code == 0
    heard = trained(root)
    assert heard["encoder"] is not None
    assert not heard["encoder"].facts.get("skipped")
    chosen = json.loads((root / "models/choices.json").read_text())
    assert chosen["validation"]["next-song"]["popularity"] > 0
