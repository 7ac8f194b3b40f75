"""From an audio file to mono samples, and the plain reason where that fails."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.audio import edges
from data.audio.decoders import Block, BrokenOffError, Decoder, RefusedError, decoders_for
from data.errors import UserError

SHORTEST_S = 1.0
"A cut file that gives less than this is rejected; a whole file may be shorter."
DIAGNOSED_BYTES = 512
KNOWN_STARTS = (b"OggS", b"fLaC", b"RIFF", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9")


class AudioError(UserError, ValueError):
    """No decoder gets sound out of the file; `reason` says why in a few words, the message also where."""

    def __init__(self, reason: str, path: Path | None = None) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason


@dataclass(frozen=True)
class AudioFacts:
    """What decodes of a file, and which decoder found that. `note` tells of damage, and is empty for a whole file."""

    duration_s: float
    sample_rate: int
    channels: int
    decoder: str
    note: str = ""


def read_audio(path: Path, seconds: float | None = 120.0, *, trim: bool = False) -> tuple[NDArray[np.float32], int]:
    """The first `seconds` of a file (all of it where None): mono samples (N,) and their rate.

    Mono is the mean over channels, or the loudest of them where they cancel. trim: count from the first sound and end
    with the last, without the silence at the edges. Decodes block by block, so memory follows `seconds` and not the
    file. A damaged file gives what comes before the damage, from the decoder that gets further. Raises AudioError where
    that is under a second, and for silence that is to be trimmed.
    """
    _refuse_the_obvious(path)
    best: tuple[NDArray[np.float32], int] | None = None
    reason = ""
    for decoder in decoders_for(path):
        try:
            samples, rate, damaged = _collect(_finite(decoder.blocks(path)), seconds, trim)
        except RefusedError as error:
            reason = reason or str(error)
            continue
        if best is None or len(samples) / rate > len(best[0]) / best[1]:
            best = samples, rate
        if not damaged:
            break
    if best is None:
        raise AudioError(reason or _diagnose(path), path)
    if len(best[0]) < SHORTEST_S * best[1] and (seconds is None or seconds >= SHORTEST_S):
        probe(path)  # whole and short, or cut: the second raises
    if trim:
        try:
            return edges.without_silence(*best), best[1]
        except ValueError as error:
            raise AudioError(str(error), path) from error
    return best


def probe(path: Path) -> AudioFacts:
    """Length and shape of a file after really decoding it: both ends, or all of it where an end does not decode.

    A file that is cut but gives a second or more is described by what decodes, with a note. Raises AudioError where
    nothing decodes.
    """
    _refuse_the_obvious(path)
    best: AudioFacts | None = None
    reason = ""
    for decoder in decoders_for(path, surveying=True):
        try:
            facts = _facts(decoder, path, count=best is not None)
        except RefusedError as error:
            reason = reason or str(error)
            continue
        # FFmpeg sees nothing wrong with a cut WAV: a second opinion counts only where more sound really decodes.
        if best is None or facts.duration_s > best.duration_s + 0.1:
            best = facts
        if not facts.note:
            break
    if best is None:
        raise AudioError(reason or _diagnose(path), path)
    if best.note and best.duration_s < SHORTEST_S:
        kind = best.note.partition(":")[0]
        raise AudioError(f"{kind}: ends after {best.duration_s:.1f} s" if best.duration_s else _diagnose(path), path)
    if best.duration_s == 0:
        raise AudioError("holds no sound: 0 s long", path)
    return best


def load_mono(
    path: Path, rate: int = 16_000, seconds: float | None = 120.0, *, trim: bool = False
) -> NDArray[np.float32]:
    """Mono samples (N,) at `rate`, resampled once; N is at most `seconds` x `rate`. Otherwise as `read_audio`."""
    # A little past the end, so that the resampler's filter sees real sound where the cut will be.
    samples, native = read_audio(path, None if seconds is None else seconds + 0.1, trim=trim)
    resampled = resample(samples, native, rate)
    return resampled if seconds is None else resampled[: int(seconds * rate)]


def resample(samples: NDArray[np.float32], rate: int, target: int) -> NDArray[np.float32]:
    """Samples (N,) at `rate` to (ceil(N target / rate),) at `target`; windowed sinc of torchaudio."""
    if rate == target or not len(samples):
        return samples
    # torch takes seconds to import, and nothing else here needs it.
    import torch
    from torchaudio.functional import resample as sinc

    # The filter bank has one filter per term of the ratio: an odd rate like 44,099 Hz would need gigabytes.
    ratio = Fraction(target, rate).limit_denominator(1000)
    resampled = sinc(torch.from_numpy(samples), ratio.denominator, ratio.numerator).numpy()
    return np.ascontiguousarray(resampled, dtype=np.float32)


def _facts(decoder: Decoder, path: Path, count: bool) -> AudioFacts:
    survey = decoder.survey(path)
    seconds, rate, damaged = survey.length_s, survey.rate, False
    if seconds is None or count:
        seconds, rate, damaged = _count(_finite(decoder.blocks(path)), rate)
    note = ""
    if survey.promised_s is not None and survey.promised_s - seconds > 0.1 + 0.01 * survey.promised_s:
        note = f"truncated: {seconds:.1f} s of {survey.promised_s:.1f} s decode"
    elif survey.end_missing:
        note = f"truncated: {seconds:.1f} s decode, the end of the stream is missing"
    elif damaged:
        note = f"damaged: only the first {seconds:.1f} s decode"
    return AudioFacts(seconds, rate, survey.channels, decoder.name, note)


def _collect(blocks: Iterator[Block], seconds: float | None, trim: bool) -> tuple[NDArray[np.float32], int, bool]:
    """Mono samples, their rate, and whether decoding broke off. trim: from the first sound on."""
    parts: list[NDArray[np.float32]] = []
    rate, have, damaged, begun = 1, 0, False, not trim
    loudest: int | None = None
    try:
        for channels, rate in blocks:
            if loudest is None and channels.any():
                loudest = edges.loudest_of(channels)
            part = edges.mean_and_loudest(channels, loudest or 0)
            if not begun:
                # What came before may hold the first half of the first loud window.
                part = edges.joined([*parts, part])
                start = edges.onset(part, rate)
                begun, have = start is not None, 0
                part = part[-int(edges.WINDOW_S * rate) if start is None else start :]
                parts.clear()
            parts.append(part)
            have += len(part)
            if begun and seconds is not None and have >= seconds * rate:
                break
    except BrokenOffError:
        damaged = True
    samples = edges.one_channel(edges.joined(parts)) if parts else np.zeros(0, np.float32)
    return (samples if seconds is None else samples[: int(seconds * rate)]), rate, damaged


def _count(blocks: Iterator[Block], rate: int) -> tuple[float, int, bool]:
    seconds = 0.0
    try:
        for samples, rate in blocks:
            seconds += len(samples) / rate
    except BrokenOffError:
        return seconds, rate, True
    return seconds, rate, False


def _finite(blocks: Iterator[Block]) -> Iterator[Block]:
    """The blocks up to the first sample that is not a number, and up to the first change of rate."""
    first_rate = None
    for samples, rate in blocks:
        first_rate = first_rate or rate
        finite = np.isfinite(samples).all(axis=1)
        if rate != first_rate or not finite.all():
            if rate == first_rate:
                yield samples[: int(finite.argmin())], rate
            raise BrokenOffError
        yield samples, rate


def _refuse_the_obvious(path: Path) -> None:
    if not path.exists():
        raise AudioError("no such file", path)
    if not path.is_file():
        raise AudioError("not a file", path)
    try:
        with path.open("rb") as file:
            start = file.read(DIAGNOSED_BYTES)
    except OSError as error:
        raise AudioError(f"cannot be read ({error.strerror})", path) from error
    if not start:
        raise AudioError("empty file", path)
    # Before the decoders see it: libmpg123 searches text for mp3 frames and complains on stderr.
    if _looks_like_text(start):
        web_page = start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
        raise AudioError("not audio (looks like a web page)" if web_page else "not audio (looks like text)", path)


def _diagnose(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(DIAGNOSED_BYTES)
    if not any(start):
        return "damaged: nothing but zeros"
    if start[4:8] == b"ftyp":
        return "truncated: the index behind the audio is missing"
    if start.startswith(KNOWN_STARTS):
        return "truncated or damaged: no sound decodes"
    return "not audio (no decoder knows it)"


def _looks_like_text(start: bytes) -> bool:
    # Four bytes are spared: the 512 may end inside a character.
    text = start.decode("utf-8", "replace")
    body = text[:-4] if len(start) == DIAGNOSED_BYTES else text
    return bool(body) and all(char.isprintable() or char in "\r\n\t\f\ufeff" for char in body) and "\ufffd" not in body
