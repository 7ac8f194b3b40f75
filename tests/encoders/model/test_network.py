"""HtclModel: saving, the three kinds of vectors, and which parameters a stage trains."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModel

from encoders.htcl import HtclModel
from encoders.model.config import HtclConfig, preset_config
from encoders.model.mel import band_statistics
from encoders.training.losses import preference_loss, semantic_loss
from tests.encoders.toy_batches import audio_of, batch, near, settled, text_of
from tests.encoders.toys import tiny_model


class TestSaving:
    @pytest.mark.parametrize("pooling", ["mean", "pooler"])
    def test_comes_back_bit_for_bit_through_the_auto_classes(self, tmp_path: Path, pooling: str) -> None:
        model = settled(text_pooling=pooling, projection_dim=24)
        with torch.no_grad():
            model.log_scales.copy_(torch.tensor([1.0, 2.0, 3.0]))
        model.save_pretrained(tmp_path)
        again = AutoModel.from_pretrained(tmp_path)
        assert isinstance(again, HtclModel)
        assert not again.training
        assert again.state_dict().keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            assert torch.equal(again.state_dict()[name], value), name
        with torch.no_grad():
            assert torch.equal(again(**batch()).fusion, model(**batch()).fusion)

    def test_configuration_comes_back(self, tmp_path: Path) -> None:
        config = settled(projection_dim=24).config
        config.save_pretrained(tmp_path)
        again = AutoConfig.from_pretrained(tmp_path)
        assert isinstance(again, HtclConfig)
        assert {**again.to_dict(), "_name_or_path": ""} == config.to_dict()
        assert (again.fusion, again.audio_config.hidden_size, again.text_config.hidden_size) == ("mlp", 32, 32)

    def test_files_are_safetensors(self, tmp_path: Path) -> None:
        settled().save_pretrained(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            "config.json",
            "model.safetensors",
            "preprocessor_config.json",
        }

    def test_the_same_seed_gives_the_same_fresh_model(self) -> None:
        one, two, other = tiny_model(1), tiny_model(1), tiny_model(2)
        for name, value in one.state_dict().items():
            assert torch.equal(value, two.state_dict()[name]), name
        assert not torch.equal(one.audio_head[0].weight, other.audio_head[0].weight)

    def test_a_fresh_model_starts_with_the_papers_temperature_and_tells_songs_apart(self) -> None:
        model = tiny_model()
        assert model.log_scales.tolist() == pytest.approx([2.6] * 3)
        assert model.audio_model.cls_token.std() > 0
        vectors = normalize(model(**batch(8)).audio, dim=1)
        assert (vectors @ vectors.T).min() < 0.999

    @pytest.mark.parametrize("preset", ["demo", "small"])
    def test_presets_build(self, preset: Any) -> None:
        with torch.device("meta"):
            model = HtclModel(preset_config(preset, 500))
        assert model.text_model.get_input_embeddings().num_embeddings == 500


class TestVectors:
    def test_features_are_projected_and_not_normalised(self) -> None:
        model, values = settled(), batch()
        with torch.no_grad():
            audio = model.get_audio_features(**audio_of(values))
            text = model.get_text_features(**text_of(values))
            pooled = model.audio_model(*audio_of(values).values())[1]
            statistics = model.statistics_model(band_statistics(*audio_of(values).values()))
        assert audio.pooler_output.shape == text.pooler_output.shape == (4, 16)
        assert text.last_hidden_state.shape[:2] == values["input_ids"].shape
        near(audio.pooler_output, model.audio_head(pooled) + statistics)
        assert not torch.allclose(audio.pooler_output.norm(dim=1), torch.ones(4))

    def test_text_is_the_mean_over_real_tokens(self) -> None:
        model, values = settled(), batch()
        with torch.no_grad():
            tokens, pooled = model.pool_text(**text_of(values))
        for row, count in enumerate(values["attention_mask"].sum(dim=1)):
            near(pooled[row], tokens[row, :count].mean(dim=0))

    def test_published_pooling_takes_berts_pooler(self) -> None:
        model, values = settled(text_pooling="pooler"), batch()
        with torch.no_grad():
            near(model.pool_text(**text_of(values))[1], model.text_model(**text_of(values)).pooler_output)

    @pytest.mark.parametrize("fusion", ["mean", "mlp", "gated"])
    def test_item_vectors_have_length_1_and_are_the_same_from_every_door(self, fusion: str) -> None:
        model, values = settled(fusion), batch()
        for layer in list(model.fusion_head)[::3]:
            torch.nn.init.kaiming_normal_(layer.weight)  # so that it does say something
        with torch.no_grad():
            items = model.get_item_features(**values).pooler_output
            songs = model(**values)
        near(items.norm(dim=1), torch.ones(4))
        assert torch.equal(items, songs.fusion)
        parts, units = [songs.audio, songs.text], [normalize(vectors, dim=1) for vectors in (songs.audio, songs.text)]
        if fusion == "mlp":
            fused = model.fusion_head(torch.cat(parts, 1))
        elif fusion == "gated":
            gate = model.fusion_head(torch.cat(units, 1)).sigmoid()
            assert gate.std() > 0.01
            fused = gate * units[0] + (1 - gate) * units[1]
        else:
            fused = units[0] + units[1]
        near(items, normalize(fused, dim=1))

    def test_a_gate_whose_last_layer_is_0_weighs_both_alike(self) -> None:
        gated, mean, values = settled("gated"), settled("mean"), batch()
        for weights in gated.fusion_head[-1].parameters():
            torch.nn.init.zeros_(weights)
        with torch.no_grad():
            near(gated(**values).fusion, mean(**values).fusion)

    @pytest.mark.parametrize("fusion", ["mean", "mlp", "gated"])
    def test_a_song_with_one_modality_gets_that_ones_vector(self, fusion: str) -> None:
        model, values = settled(fusion), batch()
        has_audio, has_text = torch.tensor([True, False, True, True]), torch.tensor([True, True, False, True])
        with torch.no_grad():
            songs = model(**values, has_mel=has_audio, has_text=has_text)
            alone_text = model.get_item_features(**text_of(values)).pooler_output
            alone_audio = model.get_item_features(**audio_of(values)).pooler_output
            complete = model(**values)
        near(songs.fusion[1], alone_text[1])
        near(songs.fusion[2], alone_audio[2])
        near(alone_text[1], normalize(complete.text[1], dim=0))
        near(alone_audio[2], normalize(complete.audio[2], dim=0))
        near(songs.fusion[[0, 3]], complete.fusion[[0, 3]])
        near(songs.primary[1], complete.text[1])

    def test_a_whole_modality_may_be_missing(self) -> None:
        model, values = settled(), batch()
        with torch.no_grad():
            heard, read = model(**audio_of(values)), model(**text_of(values))
        assert heard.text is None
        assert heard.has_audio.all()
        assert not heard.has_text.any()
        near(heard.fusion, normalize(heard.audio, dim=1))
        assert read.audio is None
        assert read.has_text.all()
        assert not read.has_audio.any()
        near(read.fusion, normalize(read.text, dim=1))

    def test_neither_modality_is_refused(self) -> None:
        with pytest.raises(ValueError, match="audio, precomputed features or text"):
            settled().get_item_features()
        with pytest.raises(ValueError, match="audio, precomputed features or text"):
            settled()()

    def test_the_same_song_twice_gets_the_same_vector(self) -> None:
        model, values = settled(dropout=0.5, head_dropout=0.5), batch()
        with torch.no_grad():
            assert torch.equal(model(**values).fusion, model(**values).fusion)
            double = model(**{name: value[[2, 2]] for name, value in values.items()}).fusion
        near(double[0], double[1])

    def test_a_songs_vectors_do_not_depend_on_its_batch(self) -> None:
        model, values = settled(), batch(6)
        with torch.no_grad():
            together = model(**values)
            for row in range(6):
                frames, words = (int(values[mask][row].sum()) for mask in ("audio_attention_mask", "attention_mask"))
                alone = model(
                    input_features=values["input_features"][row : row + 1, :frames],
                    input_ids=values["input_ids"][row : row + 1, :words],
                )
                near(together.audio[row], alone.audio[0])
                near(together.text[row], alone.text[0])
                near(together.fusion[row], alone.fusion[0])


class TestTraining:
    def untrained(self, model: HtclModel) -> set[str]:
        return {name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()}

    def test_stage_1_reaches_both_towers_their_heads_and_its_temperature(self) -> None:
        model = settled("mean").train()
        semantic_loss(model(**batch(8)), model.log_scales).backward()
        # keys' biases shift all of a row's scores alike: their gradient is 0 in theory, rounding in practice
        left = {name for name in self.untrained(model) if not name.endswith(("k_proj.bias", "key.bias"))}
        assert all(name.startswith(("fusion_head.", "text_model.pooler.")) for name in left), left
        assert model.log_scales.grad is not None
        assert (model.log_scales.grad != 0).tolist() == [True, False, False]

    @pytest.mark.parametrize("fusion", ["mlp", "gated"])
    def test_stage_2_reaches_everything_but_the_unused_pooler(self, fusion: str) -> None:
        model = settled(fusion).train()
        first, second = model(**batch(8)).halves()
        preference_loss(first, second, model.log_scales).backward()
        left = {name for name in self.untrained(model) if not name.endswith(("k_proj.bias", "key.bias"))}
        assert all(name.startswith("text_model.pooler.") for name in left), left
        assert model.log_scales.grad is not None
        assert model.log_scales.grad.all()

    def test_songs_without_a_modality_leave_all_gradients_finite(self) -> None:
        model = settled("mlp").train()
        present = torch.arange(8) % 3 != 0
        first, second = model(**batch(8), has_mel=present, has_text=present.roll(1)).halves()
        preference_loss(first, second, model.log_scales).backward()
        for name, value in model.named_parameters():
            assert value.grad is None or torch.isfinite(value.grad).all(), name

    def test_what_a_missing_modality_holds_does_not_matter(self) -> None:
        model, values = settled("mlp"), batch(8)
        present = torch.arange(8) % 3 != 0
        losses = []
        for filler in (0.0, 5.0):
            values["input_features"][~present] = filler
            first, second = model(**values, has_mel=present).halves()
            losses.append(preference_loss(first, second, model.log_scales).item())
        assert losses[0] == losses[1]

    def test_temperatures_are_kept_between_1_and_100(self) -> None:
        model = settled()
        with torch.no_grad():
            model.log_scales.copy_(torch.tensor([-3.0, 2.0, 9.0]))
        model.clamp_scales()
        assert model.log_scales.exp().tolist() == pytest.approx([1, 7.389, 100], rel=1e-3)
