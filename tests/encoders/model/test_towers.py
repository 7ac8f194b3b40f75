"""The towers and heads against the golden files, torch's own encoder layer, and the published state dicts."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig

from data.errors import UserError
from encoders.htcl import HtclModel
from encoders.model.config import HtclAudioConfig, HtclConfig, preset_config
from encoders.model.original_weights import from_original_names, original_parts, to_original_names
from encoders.model.outputs import SongVectors
from encoders.model.towers import AudioTower, EncoderLayer, FeatureTower, Head
from encoders.training.losses import contrastive_loss, preference_loss, semantic_loss
from tests.encoders.toys import GOLDEN, tiny_config, tiny_model

SHAPES = json.loads((GOLDEN / "state_dict_shapes.json").read_text())
Weights = dict[str, Tensor]


def golden_tower() -> tuple[Weights, HtclAudioConfig]:
    path = GOLDEN / "audio_tower_tiny.safetensors"
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["config"])
    config = HtclAudioConfig(
        num_mel_bins=facts["input_dim"],
        positional_kernel=facts["kernel_size_pos_conv_emb"],
        positional_groups=facts["groups_pos_conv_emb"],
        **{name: facts[name] for name in ("conv_filters", "conv_strides", "conv_kernels", "hidden_size")},
        **{name: facts[name] for name in ("num_hidden_layers", "num_attention_heads", "intermediate_size")},
    )
    return load_file(path), config


def below(weights: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


class TestGoldenFiles:
    def test_tower_and_head_give_the_published_outputs(self) -> None:
        golden, config = golden_tower()
        tower, head = AudioTower(config).eval(), Head((64, 32, 16, 10), 0.1).eval()
        tower.load_state_dict(from_original_names(below(golden, "weight.")))
        head.load_state_dict(below(golden, "mlp."))
        with torch.no_grad():
            tokens, pooled = tower(golden["input_features"])
            near(tokens, golden["last_hidden_state"])
            near(pooled, golden["pooled"])
            near(head(pooled), golden["projected"])

    def test_a_full_mask_gives_the_published_outputs_too(self) -> None:
        golden, config = golden_tower()
        tower = AudioTower(config).eval()
        tower.load_state_dict(from_original_names(below(golden, "weight.")))
        with torch.no_grad():
            near(tower(golden["input_features"], torch.ones(3, 203))[1], golden["pooled"])

    @pytest.mark.parametrize("kind", ["dict", "safetensors", "pt"])
    def test_a_model_from_published_weights_gives_them_from_any_kind_of_file(self, tmp_path: Path, kind: str) -> None:
        golden, audio = golden_tower()
        config = HtclConfig(audio_config=audio, text_config=tiny_config().text_config, projection_dim=10)
        given: dict[str, Any] = {"audio_model": below(golden, "weight."), "audio_mlp": below(golden, "mlp.")}
        for name, weights in given.items() if kind != "dict" else []:
            given[name] = tmp_path / f"{name}.{kind}"
            save_file(weights, given[name]) if kind == "safetensors" else torch.save(weights, given[name])
        model = HtclModel.from_published(**given, config=config)
        assert not model.training
        with torch.no_grad():
            near(model.get_audio_features(golden["input_features"]).pooler_output, golden["projected"])

    def test_every_loss_term_is_the_published_one(self) -> None:
        golden = load_file(GOLDEN / "losses_tiny.safetensors")
        head = Head((20, 20, 10, 10), 0.1).eval()
        head.load_state_dict(below(golden, "fusion_mlp."))
        taus = torch.stack([golden["tau_1"], golden["tau_2"], golden["tau_3"]])
        songs = []
        for which in "12":
            audio, text = golden[f"audio_{which}"], golden[f"text_{which}"]
            fusion = head(torch.cat([audio, text], dim=1)).detach()
            near(fusion, golden[f"fusion_{which}"])
            songs.append(
                SongVectors(audio, text, fusion, torch.ones(6, dtype=torch.bool), torch.ones(6, dtype=torch.bool))
            )
        first, second = songs
        loss_1 = contrastive_loss(
            torch.cat([golden["audio_1"], golden["audio_2"]]), torch.cat([golden["text_1"], golden["text_2"]]), taus[0]
        )
        loss_3 = contrastive_loss(golden["audio_1"], second.fusion, taus[2])
        loss_3 = (loss_3 + contrastive_loss(golden["audio_2"], first.fusion, taus[2])) / 2
        found = {
            "loss_1": loss_1,
            "loss_2": contrastive_loss(golden["audio_1"], golden["audio_2"], taus[1]),
            "loss_3": loss_3,
            "stage1_loss": semantic_loss(first, taus),
            "stage2_loss": preference_loss(first, second, taus),
        }
        for name, value in found.items():
            assert value.item() == pytest.approx(golden[name].item(), rel=1e-5), name


class TestPublishedShapes:
    def test_the_papers_tower_has_its_number_of_parameters(self) -> None:
        with torch.device("meta"):
            tower = AudioTower(HtclAudioConfig())
        assert sum(parameter.numel() for parameter in tower.parameters()) == 88_500_511

    @pytest.mark.parametrize("parts", [tuple(SHAPES), ("audio_model",), ("text_mlp", "fusion_mlp"), ()])
    def test_any_subset_of_the_published_parts_loads_at_full_size(self, parts: tuple[str, ...]) -> None:
        with torch.device("meta"):  # shapes and names alone: the real thing takes gigabytes
            given = {part: {name: torch.empty(shape) for name, shape in SHAPES[part].items()} for part in parts}
            model = HtclModel.from_published(**given)
        assert model.config.text_config.vocab_size == 105_879
        assert model.config.projection_dim == 100

    def test_the_way_back_gives_the_published_names_and_shapes(self) -> None:
        with torch.device("meta"):
            tower = AudioTower(preset_config("paper").audio_config)
            found = to_original_names(tower.state_dict())
        assert {name: list(value.shape) for name, value in found.items()} == SHAPES["audio_model"]

    def test_every_part_goes_back_under_the_published_names(self) -> None:
        with torch.device("meta"):
            parts = original_parts(HtclModel(preset_config("paper")))
        assert set(parts) == {*SHAPES, "text_model"}
        for part, shapes in SHAPES.items():
            assert {name: list(value.shape) for name, value in parts[part].items()} == shapes, part

    def test_a_published_fusion_is_what_fuses(self) -> None:
        model = tiny_model(fusion="mlp", statistics_hidden=0)
        again = HtclModel.from_published(**original_parts(model), config=tiny_model(statistics_hidden=0).config)
        audio, text, there = torch.randn(3, 16), torch.randn(3, 16), torch.ones(3, dtype=torch.bool)
        torch.testing.assert_close(again.fuse(audio, text, there, there), model.fuse(audio, text, there, there))

    def test_every_published_tensor_of_the_tower_has_a_place(self) -> None:
        with torch.device("meta"):
            tower = AudioTower(preset_config("paper").audio_config)
            ours = from_original_names({name: torch.empty(shape) for name, shape in SHAPES["audio_model"].items()})
        assert {name: value.shape for name, value in ours.items()} == {
            name: value.shape for name, value in tower.state_dict().items()
        }


class TestWhatDoesNotFit:
    def parts(self) -> dict[str, Weights]:
        golden, _ = golden_tower()
        return {"audio_model": below(golden, "weight."), "audio_mlp": below(golden, "mlp.")}

    def config(self) -> HtclConfig:
        return HtclConfig(audio_config=golden_tower()[1], text_config=tiny_config().text_config, projection_dim=10)

    def test_a_wrong_shape_is_named_with_both_shapes(self) -> None:
        parts = self.parts()
        parts["audio_mlp"]["3.weight"] = torch.zeros(16, 31)
        with pytest.raises(UserError, match=r"audio_mlp.*3\.weight: \(16, 31\) where the model has \(16, 32\)"):
            HtclModel.from_published(**parts, config=self.config())

    def test_a_missing_tensor_is_named(self) -> None:
        parts = self.parts()
        del parts["audio_model"]["cls_token"]
        with pytest.raises(UserError, match=r"audio_model.*cls_token: missing"):
            HtclModel.from_published(**parts, config=self.config())

    def test_an_unknown_tensor_is_named(self) -> None:
        parts = self.parts()
        parts["audio_mlp"]["9.weight"] = torch.zeros(1)
        with pytest.raises(UserError, match=r"9\.weight.*the model has nothing"):
            HtclModel.from_published(**parts, config=self.config())

    def test_a_fused_projection_of_another_width_is_named(self) -> None:
        parts = self.parts()
        parts["audio_model"]["transformer_encoder.layers.0.self_attn.in_proj_weight"] = torch.zeros(96, 64)
        with pytest.raises(UserError, match=r"layers\.0\.attention\.k_proj\.weight"):
            HtclModel.from_published(**parts, config=self.config())

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"nowhere\.pt"):
            HtclModel.from_published(audio_mlp=tmp_path / "nowhere.pt", config=self.config())

    def test_old_text_checkpoints_with_position_ids_load(self) -> None:
        model = tiny_model()
        old = {**model.text_model.state_dict(), "embeddings.position_ids": torch.arange(512)[None]}
        again = HtclModel.from_published(text_model=old, config=tiny_config())
        for name, value in model.text_model.state_dict().items():
            assert torch.equal(again.text_model.state_dict()[name], value), name


class TestMasking:
    @pytest.mark.parametrize("padding", [1, 7, 60])
    @pytest.mark.parametrize("fill", [0.0, 1e4])
    def test_padding_does_not_change_the_answer_whatever_it_holds(self, padding: int, fill: float) -> None:
        torch.manual_seed(0)
        tower = tiny_model().audio_model
        lengths = (17, 40, 61)
        songs = [torch.randn(length, 128) for length in lengths]
        frames = torch.full((3, max(lengths) + padding, 128), fill)
        mask = torch.zeros(3, max(lengths) + padding, dtype=torch.long)
        for row, song in enumerate(songs):
            frames[row, : len(song)], mask[row, : len(song)] = song, 1
        with torch.no_grad():
            together = tower(frames, mask)[1]
            for row, song in enumerate(songs):
                near(together[row], tower(song[None])[1][0])

    def test_padding_has_no_gradient(self) -> None:
        tower = tiny_model().audio_model
        frames = torch.randn(2, 50, 128, requires_grad=True)
        mask = (torch.arange(50) < torch.tensor([[50], [33]])).long()
        tower(frames, mask)[1].square().sum().backward()
        assert frames.grad is not None
        assert not frames.grad[1, 33:].any()
        assert frames.grad[1, :33].any()

    def test_156_tokens_for_two_minutes(self) -> None:
        assert tiny_model().audio_model(torch.zeros(1, 1251, 128))[0].shape == (1, 156, 32)


@pytest.mark.parametrize("padded", [False, True])
def test_split_projections_equal_torchs_fused_encoder_layer(padded: bool) -> None:
    torch.manual_seed(0)
    config = tiny_config().audio_config
    theirs = nn.TransformerEncoderLayer(32, 2, 64, dropout=0.0, activation="gelu", batch_first=True)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    published = {f"transformer_encoder.layers.0.{name}": value for name, value in theirs.state_dict().items()}
    ours = EncoderLayer(config)
    ours.load_state_dict(
        {name.removeprefix("layers.0."): value for name, value in from_original_names(published).items()}
    )
    x = torch.randn(3, 11, 32)
    real = torch.ones(3, 11, dtype=torch.bool)
    if padded:
        real[1, 5:] = False
    expected = theirs(x, src_key_padding_mask=~real)
    near(ours(x, real[:, None, None, :])[real], expected[real])


def test_fused_projection_is_split_in_the_order_q_k_v() -> None:
    fused = torch.arange(6.0)[:, None].expand(6, 2)
    split = from_original_names({"transformer_encoder.layers.3.self_attn.in_proj_weight": fused})
    assert [split[f"layers.3.attention.{letter}_proj.weight"][0, 0].item() for letter in "qkv"] == [0, 2, 4]


def test_bert_of_the_paper_preset_is_the_multilingual_one() -> None:
    text: Any = preset_config("paper").text_config
    assert isinstance(text, BertConfig)
    assert (text.vocab_size, text.hidden_size, text.num_hidden_layers) == (105_879, 768, 12)
    assert preset_config("paper").text_pooling == "pooler"


class TestFeatureTower:
    ROWS = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    STRETCH, SHIFT = torch.tensor([1.0, 1e3, 1e-3, 40.0]), torch.tensor([0.0, -5e3, 9.0, 7.0])

    def tower(self) -> FeatureTower:
        torch.manual_seed(0)
        return FeatureTower(4, 8, 3)

    def test_units_of_the_columns_do_not_matter(self) -> None:
        plain, other = self.tower(), self.tower()
        rows = self.ROWS.double()
        stretched = rows * self.STRETCH + self.SHIFT
        plain.double().standardise_to(rows)
        other.double().standardise_to(stretched)
        torch.testing.assert_close(other(stretched), plain(rows), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_does_not_round_what_rows_are_standardised_by(
        self, tmp_path: Path, dtype: torch.dtype
    ) -> None:
        rows = torch.tensor([[2005.0, 230_000, 0.5], [1999, 180_000, 0.4], [2011, 260_000, 0.7]])
        model = tiny_model(feature_dim=3)
        model.feature_model.standardise_to(rows)
        model.save_pretrained(tmp_path / "saved")
        half = HtclModel.from_pretrained(tmp_path / "saved", dtype=dtype).feature_model(rows).float()
        assert torch.nn.functional.cosine_similarity(half, model.feature_model(rows)).min() > 0.999

    def test_no_rows_leave_it_as_it_is(self) -> None:
        tower = self.tower()
        tower.standardise_to(self.ROWS[:0])
        assert tower(self.ROWS).isfinite().all()

    def test_takes_mean_and_deviation(self) -> None:
        tower = self.tower()
        tower.standardise_to(self.ROWS)
        torch.testing.assert_close(tower.center, self.ROWS.mean(dim=0))
        torch.testing.assert_close(tower.spread, self.ROWS.std(dim=0, correction=0))

    def test_a_column_that_never_changed_is_not_read(self) -> None:
        tower, rows = self.tower(), self.ROWS.clone()
        rows[:, 1] = 3.0
        tower.standardise_to(rows)
        expected = tower(rows)
        rows[:, 1] = torch.linspace(-1e6, 1e6, 200)
        assert torch.equal(tower(rows), expected)
        assert torch.isfinite(expected).all()

    def test_one_song_far_off_counts_as_five_deviations(self) -> None:
        tower = self.tower()
        tower.standardise_to(self.ROWS)
        far = tower.center + tower.spread * torch.tensor([1e6, -1e6, 0.0, 0.0])
        near = tower.center + tower.spread * torch.tensor([5.0, -5.0, 0.0, 0.0])
        torch.testing.assert_close(tower(far[None]), tower(near[None]))
