"""What is open answers from one version, whatever happens to the folder meanwhile."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from data.errors import UserError
from data.storage.manifest import read_manifest
from recsys import Recommender
from tests.recsys.faults import answering

QUESTIONS = ("sad piano", "calm orchestral", "summer")


def ids(recommender: Recommender, text: str) -> list[str]:
    recommender.words = recommender.words.model_copy(update={"songs": 0})  # hardly trained, and asked all the same
    return [song.track_id for song in recommender.search(text, 5)]


def test_a_build_that_takes_the_place_of_what_is_open_is_not_seen(copy_of_built: Path, built: Path) -> None:
    opened, before = Recommender.load(copy_of_built), Recommender.load(built)
    for part in ("encoder", "vectors"):  # of the training part: another build of the same data
        shutil.rmtree(answering(copy_of_built) / part)
        shutil.copytree(built / "tuning" / part, answering(copy_of_built) / part)
    for question in QUESTIONS:
        assert ids(opened, question) == ids(before, question)


def test_what_is_open_needs_its_folder_no_more(copy_of_built: Path, built: Path) -> None:
    opened, before = Recommender.load(copy_of_built), Recommender.load(built)
    (answering(copy_of_built) / "encoder").rename(copy_of_built / "gone")
    assert ids(opened, "sad piano") == ids(before, "sad piano")


def test_an_encoder_that_did_not_make_the_vectors_answers_no_words_but_songs(copy_of_built: Path) -> None:
    shutil.rmtree(answering(copy_of_built) / "encoder")
    shutil.copytree(copy_of_built / "tuning" / "encoder", answering(copy_of_built) / "encoder")
    opened = Recommender.load(copy_of_built)
    user = opened.dataset.user_ids.names[0]
    assert len(opened.recommend(user, 5)) == 5
    with pytest.raises(UserError, match="did not make the vectors"):
        ids(opened, "sad piano")


def test_a_relative_path_holds_after_a_change_of_folder(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built.parent)
    opened = Recommender.load(built.name)
    monkeypatch.chdir("/")
    assert len(ids(opened, "sad piano")) == 5


def test_what_was_built_before_a_source_was_added_answers_without_it(copy_of_built: Path) -> None:
    models = answering(copy_of_built) / "models"
    choices = json.loads((models / "choices.json").read_text())
    for task in choices["settings"]:
        del choices["settings"][task]["htcl-imputed"]
        for weights in ("weights", "unplayed_weights"):
            choices["fusion"][task][weights].pop("htcl-imputed", None)
        choices["fusion"][task]["weights"]["item-knn"] = 1.0
    (models / "choices.json").write_text(json.dumps(choices))
    signed_again(models)
    shutil.rmtree(answering(copy_of_built) / "texts")
    opened = Recommender.load(copy_of_built)
    user = opened.dataset.user_ids.names[0]
    assert len(opened.recommend(user, 5)) == 5
    assert opened.search(str(opened.dataset.tracks["title"][0]), 1)


def signed_again(folder: Path) -> None:
    """The manifest names the file as it is now."""
    manifest = read_manifest(folder)
    assert manifest is not None
    content = (folder / "choices.json").read_bytes()
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    changed = manifest.model_copy(update={"files": {**manifest.files, "choices.json": entry}})
    signed = changed.model_copy(update={"checksum": changed.content_hash()})
    (folder / "manifest.json").write_text(signed.model_dump_json())
