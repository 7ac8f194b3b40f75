"""An encoder's words are measured on songs that no training read, which decides whether a search answers."""

import numpy as np
import torch

from encoders.encoding import words
from encoders.encoding.words import measure_words
from encoders.model.outputs import SongVectors
from encoders.word_sense import LEAST, WordSense
from tests.encoders.toys import tiny_model


def sense_of(cosines: torch.Tensor, monkeypatch) -> WordSense:
    """The measurement where text i and sound j have such cosines."""
    count = len(cosines)
    found = SongVectors(torch.eye(count), cosines, torch.eye(count), torch.ones(count).bool(), torch.ones(count).bool())
    monkeypatch.setattr(words, "vectors_of", lambda *_: found)
    return measure_words(tiny_model(), None, np.arange(count, dtype=np.int32), learned=True)


def test_texts_that_find_their_own_sound_are_above_chance(monkeypatch) -> None:
    sense = sense_of(torch.eye(80), monkeypatch)
    assert (sense.songs, sense.found, sense.chance) == (80, 1.0, 10 / 80)
    assert sense.p_value < 1e-6
    assert not sense.refused


def test_texts_at_random_are_refused_with_the_figures(monkeypatch) -> None:
    sense = sense_of(torch.randn(80, 80, generator=torch.Generator().manual_seed(1)), monkeypatch)
    assert "no better than chance" in sense.refused
    assert "of 80 songs" in sense.refused


def test_an_encoder_that_maps_all_to_one_vector_is_refused(monkeypatch) -> None:
    assert sense_of(torch.ones(80, 80), monkeypatch).refused


def test_too_few_songs_tell_nothing_and_refuse_nothing() -> None:
    sense = measure_words(tiny_model(), None, np.arange(LEAST - 1, dtype=np.int32), learned=True)
    assert sense.songs == 0
    assert not sense.refused
    assert "not measured" in sense.in_words()


def test_an_untrained_encoder_is_refused_whatever_the_songs() -> None:
    sense = measure_words(tiny_model(), None, np.arange(500, dtype=np.int32), learned=False)
    assert "never learned" in sense.refused
