"""A sound file's key that stays when the file is moved, renamed or tagged anew: a digest of its encoded sound alone.

FFmpeg takes the packets out of whatever container they lie in, and nothing is decoded. So an MP3's ID3 and APE tags, a
FLAC's metadata blocks and pictures, an Ogg's comments and page numbers, and where an MP4's atoms lie do not count. The
same song encoded once more has another key: that it is the same song is what `matching` can tell.
"""

import hashlib
from pathlib import Path

import av
import soundfile

DIGITS = 32
"Hexadecimal digits of a key: 128 bits."
BLOCK_FRAMES = 1 << 16


def audio_fingerprint(path: Path) -> str:
    """The key of a file's first stream of sound; empty where there is no file that can be read.

    Some 30 ms for a song of three minutes, which is read once. A few Ogg files that FFmpeg refuses are decoded by
    libsndfile, in a second. Where neither reads to the end the key is of the whole content, which tags are a part of.
    """
    try:
        if not path.is_file():  # a pipe would wait for ever
            return ""
        return _of_packets(path) or _of_ogg_samples(path) or _of_content(path)
    except OSError:
        return ""


def _of_packets(path: Path) -> str:
    digest, packets = hashlib.sha256(), 0
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                return ""
            stream = container.streams.audio[0]
            if stream.codec_context is not None:  # as of a codec that FFmpeg does not know
                digest.update(f"{stream.codec_context.name}\n".encode())
            for packet in container.demux(stream):
                if packet.size:  # the last one is empty and only flushes decoders
                    digest.update(packet)
                    packets += 1
    except (av.error.FFmpegError, ValueError):
        return ""  # two damaged files may have the same beginning
    return digest.hexdigest()[:DIGITS] if packets else ""


def _of_ogg_samples(path: Path) -> str:
    """Of Ogg alone: of other files without sound libsndfile complains on the terminal."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return ""
    digest, blocks = hashlib.sha256(), 0
    try:
        with soundfile.SoundFile(path) as sound:
            while len(frames := sound.read(BLOCK_FRAMES, dtype="int16")):
                digest.update(frames.tobytes())
                blocks += 1
    except (soundfile.SoundFileError, TypeError):
        return ""
    return digest.hexdigest()[:DIGITS] if blocks else ""


def _of_content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
