"""The two decoders behind one contract: soundfile (libsndfile) and av (FFmpeg).

Each reads what the other refuses. Soundfile goes first because it reads Ogg files that FFmpeg turns away and decodes
mp3 more than twice as fast; FFmpeg goes first for Opus, where it is the one that is twice as fast, and for AAC, which
soundfile does not know.
"""

import io
import re
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
import mutagen.mp3
import numpy as np
import soundfile
from numpy.typing import NDArray

from data.audio.quiet import quiet

Block = tuple[NDArray[np.float32], int]
"Samples (N, channels) and their rate."

AV_FIRST = frozenset({".opus", ".m4a", ".mp4", ".aac"})
BLOCK_FRAMES = 1 << 16
HEAD_S, TAIL_S = 2.0, 1.0
OGG_LARGEST_PAGE = 65_307
WAV_LENGTH_UNKNOWN = 0xFFFF_F000
"Programs that write WAV into a pipe put about this, or 0, where the length belongs."


class RefusedError(Exception):
    """The decoder does not take the file at all."""


class BrokenOffError(Exception):
    """Decoding ended before the file did; what came before is good."""


@dataclass(frozen=True)
class Survey:
    """What a decoder knows of a file after its header, its first seconds and its end."""

    rate: int
    channels: int
    length_s: float | None
    "None where only decoding all of it can tell."
    promised_s: float | None = None
    "What the header claims, where it is a fact and not an estimate."
    end_missing: bool = False


class Decoder(Protocol):
    """Reads files; raises RefusedError at once, or BrokenOffError after the last good block."""

    name: str

    def blocks(self, path: Path) -> Iterator[Block]: ...
    def survey(self, path: Path) -> Survey: ...


class SoundfileDecoder:
    """libsndfile: wav, flac, ogg, opus, mp3."""

    name = "soundfile"

    def blocks(self, path: Path) -> Iterator[Block]:
        with self._open(path) as file:
            try:
                # SoundFile.blocks() repeats its buffer where a header promised more than the file holds.
                while len(frames := self._read(file, path)):
                    yield frames, file.samplerate
            except soundfile.SoundFileError as error:
                raise BrokenOffError from error

    def survey(self, path: Path) -> Survey:
        with self._open(path) as file:
            rate = file.samplerate
            with _quietly(path):
                length: float | None = file.frames / rate if self._both_ends_decode(file) else None
            promised: float | None = file.frames / rate
            if file.format == "OGG":
                return Survey(rate, file.channels, length, end_missing=not ogg_has_end(path))
            if file.format == "MP3" and not has_xing_header(path):
                length = promised = None
            if cut := re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE):
                claimed, there = int(cut[1]), int(cut[2])
                known = 0 < claimed < WAV_LENGTH_UNKNOWN and there
                promised = file.frames / rate * claimed / there if known else None
            return Survey(rate, file.channels, length, promised)

    def _read(self, file: Any, path: Path) -> NDArray[np.float32]:
        with _quietly(path):
            frames: NDArray[np.float32] = file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        return frames

    @contextmanager
    def _open(self, path: Path) -> Iterator[Any]:
        try:
            with _quietly(path):
                file = soundfile.SoundFile(path)
        except (soundfile.SoundFileError, TypeError) as error:
            raise RefusedError from error
        with file:
            yield file

    def _both_ends_decode(self, file: Any) -> bool:
        tail = min(file.frames, int(TAIL_S * file.samplerate))
        head = min(file.frames, int(HEAD_S * file.samplerate))
        try:
            first = file.read(head, dtype="float32")
            file.seek(file.frames - tail)
            last = file.read(tail, dtype="float32")
        except soundfile.SoundFileError:
            return False
        return len(first) == head and len(last) == tail and bool(np.isfinite(first).all() and np.isfinite(last).all())


def _quietly(path: Path) -> AbstractContextManager[None]:
    """Without the words of libmpg123, which libsndfile asks about mp3 and about what it knows nothing of."""
    return nullcontext() if path.suffix.lower() in (".wav", ".flac", ".ogg", ".oga", ".aiff", ".aif") else quiet()


class AvDecoder:
    """FFmpeg through PyAV: everything else, m4a and aac among it."""

    name = "av"

    def blocks(self, path: Path) -> Iterator[Block]:
        with self._open(path) as (container, stream):
            to_float = av.AudioResampler(format="fltp")
            try:
                for frame in container.decode(stream):
                    for planar in [frame] if frame.format.name == "fltp" else to_float.resample(frame):
                        yield planar.to_ndarray().T.astype(np.float32, copy=False), planar.sample_rate
            except (av.error.FFmpegError, ValueError) as error:
                raise BrokenOffError from error

    def survey(self, path: Path) -> Survey:
        """Decodes both ends and adds up the durations of the packets between, which is exact and needs no decoding."""
        with self._open(path) as (container, stream):
            kind = container.format.name
            promised = float(stream.duration * stream.time_base) if stream.duration else None
            if kind in ("aac", "ogg") or (kind == "mp3" and not has_xing_header(path)):
                promised = None
            length, rate, channels, last = self._measure(container, stream)
            # FFmpeg's durations of Vorbis packets add up to a few seconds too little.
            counted = None if stream.codec_context.name == "vorbis" else length
            end_missing = not ogg_has_end(path) if kind == "ogg" else kind == "mp3" and not mp3_frame_is_whole(last)
            return Survey(rate, channels, counted, promised, end_missing)

    @contextmanager
    def _open(self, path: Path) -> Iterator[tuple[Any, Any]]:
        try:
            container = av.open(str(path), metadata_errors="ignore")
        except (av.error.FFmpegError, ValueError) as error:
            raise RefusedError from error
        with container:
            if not container.streams.audio:
                raise RefusedError("no audio stream")
            if container.streams.audio[0].codec_context is None:
                raise RefusedError("no decoder for its codec")
            yield container, container.streams.audio[0]

    def _measure(self, container: Any, stream: Any) -> tuple[float | None, int, int, bytes]:
        rate, channels = stream.rate or 0, stream.channels or 0
        head_s, ticks, sound = 0.0, 0, True
        last: deque[Any] = deque(maxlen=64)
        try:
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                sound, ticks = sound and packet.duration is not None, ticks + (packet.duration or 0)
                last.append(packet)
                if head_s < HEAD_S:
                    for frame in packet.decode():
                        # The header's rate can be half of what high-efficiency AAC decodes to.
                        rate, channels = frame.sample_rate, frame.layout.nb_channels
                        head_s += frame.samples / rate
            stream.codec_context.flush_buffers()
            # Every one of them: of a cut file only the last packet fails.
            sound = sound and sum(len(packet.decode()) for packet in last) > 0
        except (av.error.FFmpegError, ValueError):
            sound = False
        return (float(ticks * stream.time_base) if sound else None), rate, channels, bytes(last[-1]) if last else b""


def decoders_for(path: Path, surveying: bool = False) -> tuple[Decoder, Decoder]:
    """Both decoders, the one to ask first in front."""
    first, second = SoundfileDecoder(), AvDecoder()
    suffix = path.suffix.lower()
    # A survey jumps to the end, of which libmpg123 is less sure than FFmpeg.
    return (second, first) if suffix in AV_FIRST or (surveying and suffix == ".mp3") else (first, second)


def has_xing_header(path: Path) -> bool:
    """Does an mp3 state its length? Without this header both decoders guess it from the first frame's bit rate."""
    try:
        info: Any = mutagen.mp3.MP3(path).info
    except mutagen.MutagenError:
        return False
    return info is not None and bool(info.bitrate_mode != mutagen.mp3.BitrateMode.UNKNOWN)


def mp3_frame_is_whole(frame: bytes) -> bool:
    """Is a frame as long as its header says? The only trace that cutting leaves in an mp3 without a length."""
    file = io.BytesIO(frame)
    try:
        mutagen.mp3.MPEGFrame(file)
    except mutagen.MutagenError:
        return True  # something else behind the last frame, a tag perhaps
    return file.tell() <= len(frame)


def ogg_has_end(path: Path) -> bool:
    """Is the last page of an Ogg file whole, and marked as the last?"""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2 * OGG_LARGEST_PAGE))
        tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return False
    segments = tail[start + 27 : start + 27 + tail[start + 26]]
    whole = len(tail) >= start + 27 + tail[start + 26] + sum(segments)
    return whole and bool(tail[start + 5] & 4)
