"""Small sound files of every kind, made on the spot."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

BY_SOUNDFILE = ("wav", "flac", "ogg")
BY_AV = {"m4a": "aac", "aac": "aac", "mp3": "libmp3lame", "opus": "libopus"}
KINDS = (*BY_SOUNDFILE, *BY_AV)


def tone(seconds: float, rate: int = 48_000, hertz: float = 440.0) -> NDArray[np.float32]:
    """Two channels, the right one half as loud."""
    wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return np.stack([wave, wave / 2], axis=1).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int = 48_000) -> Path:
    """Encode by the file's ending; in blocks, for soundfile crashes on a long Ogg written at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix[1:].lower()
    if kind in BY_SOUNDFILE:
        with soundfile.SoundFile(path, "w", rate, 2, format=kind) as file:
            for at in range(0, len(samples), 4096):
                file.write(samples[at : at + 4096])
        return path
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(BY_AV[kind], rate=rate, layout="stereo")
        size = {"opus": 960, "mp3": 1152}.get(kind, 1024)
        for at in range(0, len(samples), size):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[at : at + size].T), "fltp", "stereo")
            frame.sample_rate, frame.pts = rate, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file's bytes."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path
