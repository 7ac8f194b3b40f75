"""The catalogue in the eyes of an external model: made once, kept over a stop, made again when something changed."""

from pathlib import Path

import numpy as np
import pytest

from data.dataset import Dataset
from data.errors import UserError
from data.storage.manifest import read_manifest
from data.storage.workspace import Workspace
from encoders.encoding.mel_cache import ensure_mels
from encoders.encoding.vector_files import read_vectors
from encoders.model.text import track_texts
from encoders.pretrained import catalogue_vectors as external_vectors
from encoders.pretrained.audio_model import ExternalModel, open_external
from encoders.pretrained.catalogue_vectors import embed_external
from tests.encoders.conftest import MakeCatalogue
from tests.encoders.pretrained.foreign import save_clap, save_wav2vec
from tests.encoders.toys import sound

COUNT = 7


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded; blocks of 3 songs."""
    names: list[str] = []
    load = external_vectors.load_mono

    def spy(path: Path, *args: object, trim: bool) -> object:
        names.append(path.name)
        return load(path, *args, trim=trim)  # type: ignore[arg-type]

    monkeypatch.setattr(external_vectors, "load_mono", spy)
    monkeypatch.setattr(external_vectors, "SONGS", 3)
    return names


@pytest.fixture(scope="module")
def clap(tmp_path_factory: pytest.TempPathFactory) -> ExternalModel:
    return open_external(save_clap(tmp_path_factory.mktemp("foreign") / "tiny-clap"))


def embed(world: tuple[Workspace, Dataset], model: ExternalModel) -> Path:
    workspace, dataset = world
    return embed_external(workspace, dataset, ensure_mels(workspace.mels, dataset), model)


def test_each_song_has_the_vector_of_its_own_sound_and_text(make_catalogue: MakeCatalogue, clap: ExternalModel) -> None:
    world = make_catalogue(COUNT, audio=[0, 1, 2, 4, 6], text=[1, 2, 3, 6])
    folder = embed(world, clap)
    audio, text = (read_vectors(folder, modality, world[1]) for modality in ("audio", "text"))
    assert audio.tracks.tolist() == [0, 1, 2, 4, 6]
    assert text.tracks.tolist() == [1, 2, 3, 6]
    for row, vector in zip(audio.tracks, audio.values, strict=True):
        assert vector == pytest.approx(clap.encode_sound(sound(row)), abs=1e-3)  # a wav of 16 bits
    words = [track_texts(world[1].tracks)[row] or "" for row in text.tracks]
    assert text.values == pytest.approx(clap.encode_text(words), abs=1e-5)


def test_a_model_of_sound_alone_gives_features(make_catalogue: MakeCatalogue, tmp_path: Path) -> None:
    world = make_catalogue(3)
    model = open_external(save_wav2vec(tmp_path / "wav2vec"))
    features = read_vectors(embed(world, model), "features", world[1])
    assert features.tracks.tolist() == [0, 1, 2]
    assert features.values[1] == pytest.approx(model.encode_sound(sound(1)), abs=1e-2)
    with pytest.raises(ValueError, match="knows no text"):
        model.encode_text(["song"])


def test_a_second_call_decodes_nothing(make_catalogue: MakeCatalogue, clap: ExternalModel, decoded: list[str]) -> None:
    world = make_catalogue(COUNT)
    folder = embed(world, clap)
    assert sorted(decoded) == [f"{number:02}.wav" for number in range(COUNT)]
    made = read_manifest(folder)
    decoded.clear()
    assert embed(world, clap) == folder
    assert decoded == []
    assert read_manifest(folder) == made
    assert not list((world[0].root / ".work").glob("external-*"))


def test_other_weights_under_the_same_name_are_measured_anew(
    make_catalogue: MakeCatalogue, tmp_path: Path, decoded: list[str]
) -> None:
    world = make_catalogue(3)
    for save in (save_wav2vec, save_clap):
        decoded.clear()
        embed(world, open_external(save(tmp_path / "model")))
        assert len(decoded) == 3


def test_an_interrupted_run_goes_on_with_the_next_block(
    make_catalogue: MakeCatalogue, clap: ExternalModel, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_catalogue(COUNT)
    hear = external_vectors._hear

    def stop_after_two(*arguments: object) -> object:
        if len(decoded) == 6:
            raise KeyboardInterrupt
        return hear(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(external_vectors, "_hear", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            embed(world, clap)
    decoded.clear()
    folder = embed(world, clap)
    assert decoded == ["06.wav"]
    assert read_vectors(folder, "audio", world[1]).tracks.tolist() == list(range(COUNT))


@pytest.mark.usefixtures("listening")
def test_a_song_that_gives_no_vector_is_left_out_and_said(
    make_catalogue: MakeCatalogue, clap: ExternalModel, decoded: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, dataset = make_catalogue(COUNT)
    mels = ensure_mels(workspace.mels, dataset)
    for number in (0, 1, 2, 5):
        (workspace.root / "audio" / f"{number:02}.wav").write_bytes(b"no sound any more")
    folder = embed_external(workspace, dataset, mels, clap)
    vectors = read_vectors(folder, "audio", dataset)
    assert vectors.tracks.tolist() == [3, 4, 6]
    assert np.isfinite(vectors.values).all()
    said = capsys.readouterr().err
    assert "tiny-clap: no vector for song-05: " in said
    assert "song-04" not in said


def test_a_catalogue_without_sound_is_the_users_to_mend(make_catalogue: MakeCatalogue, clap: ExternalModel) -> None:
    with pytest.raises(UserError, match="tiny-clap has a vector for none of the 0 songs"):
        embed(make_catalogue(3, audio=[]), clap)
