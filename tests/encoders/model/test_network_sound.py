"""What is added to what the tower hears: a table of precomputed features, and statistics of the mel."""

from pathlib import Path

import torch
from torch.nn.functional import normalize
from transformers import AutoModel

from encoders.model.mel import band_statistics
from encoders.training.losses import semantic_loss
from tests.encoders.toy_batches import Batch, audio_of, batch, near, settled

WIDTH = 5


def described(rows: int = 4, seed: int = 0, **has: list[bool]) -> Batch:
    """A batch with rows of a features table."""
    table = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed))
    return batch(rows) | {"precomputed": table} | {name: torch.tensor(value) for name, value in has.items()}


class TestPrecomputedFeatures:
    MEL, TABLE = [True, True, False, False], [True, False, True, False]

    def test_mel_and_features_add_up_and_one_alone_is_the_vector(self) -> None:
        model = settled(feature_dim=WIDTH)
        values = described(has_mel=self.MEL, has_precomputed=self.TABLE)
        with torch.no_grad():
            songs = model(**values)
            mel = model.get_audio_features(**audio_of(values)).pooler_output
            table = model.feature_model(values["precomputed"])
        near(songs.audio, torch.stack([mel[0] + table[0], mel[1], table[2], torch.zeros(16)]))
        assert songs.has_audio.tolist() == [True, True, True, False]
        near(songs.fusion[3], normalize(songs.text[3], dim=0))

    def test_a_table_alone_is_enough(self) -> None:
        model, values = settled(feature_dim=WIDTH), described()
        with torch.no_grad():
            songs = model(precomputed=values["precomputed"], has_precomputed=torch.tensor(self.TABLE))
            item = model.get_item_features(precomputed=values["precomputed"]).pooler_output
        assert songs.has_audio.tolist() == self.TABLE
        assert songs.text is None
        near(item, normalize(model.feature_model(values["precomputed"]), dim=1).detach())

    def test_what_stands_in_rows_that_do_not_count_reaches_neither_vectors_nor_gradient(self) -> None:
        model = settled(feature_dim=WIDTH).train()
        gradients = []
        for filler in (0.0, 1e4):
            values = described(has_precomputed=self.TABLE)
            values["precomputed"][[1, 3]] = filler
            model.zero_grad()
            semantic_loss(model(**values), model.log_scales).backward()
            gradients.append([weight.grad.clone() for weight in model.feature_model.parameters()])
        for one, other in zip(*gradients, strict=True):
            assert one.any()
            assert torch.equal(one, other)

    def test_comes_back_with_what_it_was_standardised_to(self, tmp_path: Path) -> None:
        model, values = settled(feature_dim=WIDTH), described()
        model.feature_model.standardise_to(torch.randn(50, WIDTH) * 7 + 3)
        model.save_pretrained(tmp_path)
        again = AutoModel.from_pretrained(tmp_path)
        assert torch.equal(again.feature_model.center, model.feature_model.center)
        assert torch.equal(again.feature_model.spread, model.feature_model.spread)
        assert again.feature_model.spread.min() > 4
        with torch.no_grad():
            assert torch.equal(again(**values).audio, model(**values).audio)

    def test_a_column_that_never_changes_comes_back_too(self, tmp_path: Path) -> None:
        model = settled(feature_dim=WIDTH)
        rows = torch.randn(50, WIDTH)
        rows[:, 2] = 4.0
        model.feature_model.standardise_to(rows)
        model.save_pretrained(tmp_path)
        assert AutoModel.from_pretrained(tmp_path).feature_model.spread[2] == torch.inf

    def test_stage_1_trains_its_tower(self) -> None:
        model = settled("mean", feature_dim=WIDTH).train()
        semantic_loss(model(**described(8)), model.log_scales).backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in model.feature_model.parameters())

    def test_without_a_table_there_is_no_tower(self) -> None:
        assert not any(name.startswith("feature") for name in settled().state_dict())


class TestStatistics:
    def test_none_is_the_published_model(self) -> None:
        model, values = settled(statistics_hidden=0), batch()
        assert not any(name.startswith("statistics") for name in model.state_dict())
        with torch.no_grad():
            pooled = model.audio_model(*audio_of(values).values())[1]
            near(model.get_audio_features(**audio_of(values)).pooler_output, model.audio_head(pooled))

    def test_come_back_with_what_they_were_standardised_to(self, tmp_path: Path) -> None:
        model, values = settled(), batch()
        model.statistics_model.standardise_to(band_statistics(*audio_of(values).values()))
        model.save_pretrained(tmp_path)
        again = AutoModel.from_pretrained(tmp_path)
        assert torch.equal(again.statistics_model.spread, model.statistics_model.spread)
        with torch.no_grad():
            assert torch.equal(again(**values).audio, model(**values).audio)

    def test_stage_1_trains_their_layers(self) -> None:
        model = settled("mean").train()
        semantic_loss(model(**batch(8)), model.log_scales).backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in model.statistics_model.parameters())
