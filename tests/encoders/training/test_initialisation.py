"""Fresh heads: spread out over the songs, or fitted to a tower that is trained already."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from encoders.model.mel import standardised
from encoders.model.text import tokenize
from encoders.model.towers import ShortcutHead
from encoders.training.initialisation import spread_heads, start_text_head
from tests.encoders.toys import WORDS, build_reader, tiny_model, toy_mels, toy_texts


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return build_reader(tmp_path_factory.mktemp("reader"), toy_mels(30), toy_texts(30))


def cosines(vectors: torch.Tensor) -> torch.Tensor:
    unit = normalize(vectors, dim=1)
    return unit @ unit.T


def test_spread_heads_have_mean_0_and_deviation_1(reader):
    model = tiny_model(vocabulary=len(reader.tokenizer))
    batch = reader.read(np.arange(30, dtype=np.int32))
    with torch.no_grad():
        before = model(**batch)
        spread_heads(model, batch)
        songs = model(**batch)
        mask = batch["audio_attention_mask"]
        by_tower = model.audio_head(model.audio_model(standardised(batch["input_features"], mask), mask)[1])
    for vectors in (by_tower, songs.audio - by_tower, songs.text):
        torch.testing.assert_close(vectors.mean(dim=0), torch.zeros(16), atol=1e-4, rtol=0)
        torch.testing.assert_close(vectors.std(dim=0, correction=0), torch.ones(16), atol=1e-3, rtol=0)
    assert cosines(songs.audio).mean() < cosines(before.audio).mean() - 0.1


class TestShortcut:
    TEXTS = [f"{first} {second} {third}" for first in WORDS for second in WORDS for third in WORDS]

    def test_cosines_of_the_centred_tower_are_kept(self, reader):
        model = tiny_model(vocabulary=len(reader.tokenizer), text_shortcut=True)
        error = start_text_head(model, self.TEXTS, reader.tokenizer)
        tokens = tokenize(reader.tokenizer, self.TEXTS)
        with torch.no_grad():
            tower = model.pool_text(**tokens)[1]
            found = model.get_text_features(**tokens).pooler_output
        wanted = cosines(tower - tower.mean(dim=0))
        reached = (cosines(found) - wanted).square().mean().sqrt().item()
        assert reached == pytest.approx(error, abs=0.02)
        assert reached < 0.1
        assert np.corrcoef(cosines(found).flatten(), wanted.flatten())[0, 1] > 0.95

    def test_starts_from_any_vectors_keeping_their_cosines_about_the_mean(self):
        # 12 numbers' worth in 32: the head's 16 lose nothing
        rng = torch.Generator().manual_seed(0)
        pooled = torch.randn(200, 12, generator=rng) @ torch.randn(12, 32, generator=rng) + 5
        head = ShortcutHead((32, 16, 8, 16), 0.0).eval()
        with torch.no_grad():
            head.start_from(pooled)
            found = head(pooled)
        torch.testing.assert_close(cosines(found), cosines(pooled - pooled.mean(dim=0)), atol=1e-4, rtol=0)
        assert found.mean(dim=0).abs().max() < 1e-3

    def test_starts_from_fewer_vectors_than_it_has_numbers(self):
        pooled = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
        head = ShortcutHead((32, 16, 8, 16), 0.0).eval()
        with torch.no_grad():
            head.start_from(pooled)
            found = head(pooled)
        torch.testing.assert_close(cosines(found), cosines(pooled - pooled.mean(dim=0)), atol=1e-4, rtol=0)

    def test_spreading_starts_it_from_the_towers_vectors(self, reader):
        model = tiny_model(vocabulary=len(reader.tokenizer), text_shortcut=True)
        songs = reader.read(np.arange(30, dtype=np.int32))
        with torch.no_grad():
            tower = model.pool_text(songs["input_ids"], songs["attention_mask"])[1]
            spread_heads(model, songs)
            found = model(**songs).text
        wanted = cosines(tower - tower.mean(dim=0))
        assert np.corrcoef(cosines(found).flatten(), wanted.flatten())[0, 1] > 0.95

    def test_band_statistics_beside_it_are_standardised_and_start_near_0(self, reader):
        model = tiny_model(vocabulary=len(reader.tokenizer), text_shortcut=True)
        made = {name: value.clone() for name, value in model.statistics_model.layers.state_dict().items()}
        songs = reader.read(np.arange(30, dtype=np.int32))
        with torch.no_grad():
            spread_heads(model, songs)
            mask = songs["audio_attention_mask"]
            by_tower = model.audio_head(model.audio_model(standardised(songs["input_features"], mask), mask)[1])
            by_statistics = model(**songs).audio - by_tower
        assert all(torch.equal(value, made[name]) for name, value in model.statistics_model.layers.state_dict().items())
        assert model.statistics_model.center.abs().max() > 0
        torch.testing.assert_close(by_tower.std(dim=0, correction=0), torch.ones(16), atol=1e-3, rtol=0)
        assert by_statistics.std(dim=0).max() < 0.5

    def test_only_the_head_changes_and_the_same_way_every_time(self, reader):
        before = tiny_model(vocabulary=len(reader.tokenizer), text_shortcut=True).state_dict()
        twice = []
        for _ in range(2):
            model = tiny_model(vocabulary=len(reader.tokenizer), text_shortcut=True)
            start_text_head(model, self.TEXTS, reader.tokenizer)
            twice.append(model.state_dict())
        changed = {name for name, value in twice[0].items() if not torch.equal(value, before[name])}
        assert changed <= {f"text_head.{name}" for name in ("direct.weight", "direct.bias", "layers.6.weight")}
        assert all(torch.equal(value, twice[1][name]) for name, value in twice[0].items())


def test_heads_are_spread_over_what_is_there_and_not_over_what_fills_the_gaps(tmp_path):
    mels, texts = toy_mels(30), toy_texts(30)
    gaps = build_reader(tmp_path, [mel if n < 10 else None for n, mel in enumerate(mels)], texts[:20] + [None] * 10)
    model = tiny_model(vocabulary=len(gaps.tokenizer))
    spread_heads(model, gaps.read(np.arange(30, dtype=np.int32)))
    with torch.no_grad():
        text = model(**gaps.read(np.arange(20, dtype=np.int32))).text
    torch.testing.assert_close(text.std(dim=0, correction=0), torch.ones(16), atol=1e-3, rtol=0)
    alone = tiny_model(vocabulary=len(gaps.tokenizer))
    spread_heads(alone, gaps.read(np.arange(10, dtype=np.int32)))
    torch.testing.assert_close(model.statistics_model.center, alone.statistics_model.center)
    torch.testing.assert_close(model.audio_head[0].weight, alone.audio_head[0].weight)


def test_one_recording_several_times_tells_nothing_and_its_gradient_is_finite(reader):
    """Three copies of a recording differ by rounding alone: dividing by that, layer by layer, would overflow."""
    model = tiny_model(vocabulary=len(reader.tokenizer))
    batch = reader.read(np.zeros(3, np.int32))
    with torch.no_grad():
        before = model(**batch).audio.norm(dim=1).min()
        spread_heads(model, batch)
    songs = model(**batch)
    assert songs.audio.norm(dim=1).min() > before
    normalize(songs.audio, dim=1).sum().backward()
    largest = max(float(weights.grad.abs().max()) for weights in model.parameters() if weights.grad is not None)
    assert largest < 1e6
