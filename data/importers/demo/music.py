"""One short piece of music from what can be heard in it: tempo, timbre, register, drums, bass, scale.

Chords, a melody over them, a bass line and a drum kit, each a wavetable or a struck sample; everything is vectorised
over the samples of a part, so that a track takes tens of milliseconds.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MUSIC_VERSION = 1
"Part of every file name: raise it when the same `Sound` starts to sound different."

Samples = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Sound(NamedTuple):
    """What can be heard in a track, each in standard units: 0 is the average track, 1 a standard deviation above it."""

    pace: float
    "Beats per minute: 55 to 185; notes and drum hits follow."
    brightness: float
    "How much of chords and melody lies in the upper harmonics."
    sustain: float
    "From short plucked notes to long held ones."
    drums: float
    "From no drums to a loud and busy kit."
    register: float
    "How high chords and melody lie: two and a half octaves."
    bass: float
    "How heavy the bass line is."
    haze: float
    "From a clean recording to one under breath, tape and vinyl noise."
    mode: float
    "From dark (phrygian, minor) to light (major, lydian) scales."
    density: float
    "How many of the melody's steps are played."
    hollow: float
    "From all harmonics (strings) to odd ones only (clarinet)."


TASTE = 7
"The leading fields of `Sound`: the ones listeners have a taste in. The others are heard, but nobody cares."

SCALES = (
    (0, 1, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 4, 6, 7, 9, 11),
)
"Semitones above the root, from dark to light: phrygian, minor, dorian, mixolydian, major, lydian."
PROGRESSIONS = ((0, 5, 3, 4), (0, 3, 4, 3), (0, 4, 5, 3), (0, 3, 0, 4), (0, 5, 1, 4), (0, 2, 3, 4))
"Scale degrees of the chords, one a bar."
STEPS = 8
"Melody steps in a bar of four beats."
TABLE = 2048


def synthesise(sound: Sound, seconds: float, rng: np.random.Generator, rate: int) -> Samples:
    """A mono track: (seconds * rate,) float32 within -1..1, at a loudness that is the same for all tracks."""
    amount = Sound(*(float(1 / (1 + np.exp(-1.25 * value))) for value in sound))
    n = round(seconds * rate)
    bar = round(4 * 60 / (55 * (185 / 55) ** amount.pace) * rate)
    bars = -(-n // bar)
    scale = np.array(SCALES[min(int(amount.mode * len(SCALES)), len(SCALES) - 1)])
    key = int(rng.integers(12))
    chords = np.resize(PROGRESSIONS[rng.integers(len(PROGRESSIONS))], bars)
    centre = 46 + 30 * amount.register

    def pitch(degree: Ints, around: float) -> Floats:
        """MIDI note numbers of scale degrees, in the octave around a note."""
        root = around - 6 + (key - around + 6) % 12
        return root + scale[degree % 7] + 12.0 * (degree // 7)

    decay = 0.07 * (2.5 / 0.07) ** amount.sustain
    attack = 0.004 * (0.09 / 0.004) ** amount.sustain
    bank = _Line(n, rate, attack, decay)
    harmonics = _harmonics(amount.brightness, amount.hollow)

    strikes = _grid(bars, bar, 4)
    roots = np.repeat(chords, 4)
    pad = bank.play(strikes, np.stack([pitch(roots + third, centre - 4) for third in (0, 2, 4)]), harmonics)

    steps, degrees = _melody(chords, amount.density, rng)
    lead = bank.play(_grid(bars, bar, STEPS)[steps], pitch(degrees, centre + 6)[None], harmonics)

    played = np.resize(_BASS_LINES[rng.integers(len(_BASS_LINES))], bars * STEPS)
    low = _Line(n, rate, 0.006, 0.35).play(
        _grid(bars, bar, STEPS)[played], pitch(np.repeat(chords, STEPS)[played], 36)[None], _harmonics(0.15, 0.0)
    )
    mix = 0.5 * pad + 0.8 * lead + 1.5 * np.float32(10 ** (1.7 * (amount.bass - 0.85))) * low
    mix *= np.float32(0.1) / max(_rms(mix), np.float32(1e-6))
    mix += _drums(amount.drums, bars, bar, n, rng, rate)
    mix += _haze(amount.haze, n, rng)
    mix *= np.float32(0.12) / max(_rms(mix), np.float32(1e-6))
    fade = min(rate // 2, n)
    mix[n - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    limited: Samples = np.tanh(mix)
    return limited


class _Line:
    """Plays notes one after the other; each sounds until the next begins."""

    def __init__(self, n: int, rate: int, attack: float, decay: float) -> None:
        """attack, decay: seconds to full volume, and to 37 % of it after that."""
        self.n, self.rate, self.attack, self.decay = n, rate, attack, decay

    def play(self, onsets: Ints, notes: Floats, harmonics: Floats) -> Samples:
        """onsets: (K,) samples, ascending. notes: (V, K) MIDI, V voices moving together. harmonics: (H,) amplitudes."""
        keep = onsets < self.n
        onsets, notes = onsets[keep], notes[:, keep]
        if not len(onsets):
            return np.zeros(self.n, np.float32)
        lengths = np.diff(onsets, append=self.n)
        frequency = 440 * 2 ** ((notes - 69) / 12)
        table = _wavetable(harmonics, self.rate / 2 / frequency.max())
        since = np.arange(onsets[0], self.n, dtype=np.float32) - np.repeat(onsets, lengths).astype(np.float32)
        wave = np.zeros(len(since), np.float32)
        for voice in frequency:
            phase = since * np.repeat((voice * (TABLE / self.rate)).astype(np.float32), lengths)
            wave += table[phase.astype(np.int32) & (TABLE - 1)]
        left = np.repeat(lengths, lengths).astype(np.float32) - since
        wave *= np.exp(since * np.float32(-1 / (self.decay * self.rate)))
        wave *= np.minimum(since * np.float32(1 / (self.attack * self.rate)), np.float32(1))
        wave *= np.minimum(left * np.float32(1 / (0.005 * self.rate)), np.float32(1))
        return np.concatenate([np.zeros(onsets[0], np.float32), wave])


def _grid(bars: int, bar: int, steps: int) -> Ints:
    """First sample of each of `steps` equal steps of every bar."""
    return (np.arange(bars * steps) * bar // steps).astype(np.int64)


def _harmonics(brightness: float, hollow: float) -> Floats:
    """Amplitudes of 40 harmonics: falling slower the brighter, the even ones damped the more hollow."""
    k = np.arange(1, 41, dtype=np.float64)
    amplitudes = k ** -(2.9 - 2.4 * brightness)
    amplitudes[1::2] *= 1 - 0.9 * hollow
    return amplitudes


def _wavetable(harmonics: Floats, limit: float) -> Samples:
    """One period, (TABLE,), unit RMS. Harmonics above `limit` would fold back at half the sample rate: left out."""
    kept = harmonics[: max(1, int(limit))]
    spectrum = np.zeros(TABLE // 2 + 1, np.complex128)
    # Quadratic phases keep the peak of a bright tone low.
    spectrum[1 : len(kept) + 1] = kept * np.exp(1j * np.pi * np.arange(len(kept)) ** 2 / len(kept))
    wave = np.fft.irfft(spectrum, TABLE)
    table: Samples = (wave / np.sqrt(np.mean(wave**2))).astype(np.float32)
    return table


def _melody(chords: Ints, density: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Steps that are played, (K,), and their scale degrees, (K,): two phrases of two bars in the order A A B A."""
    length = 2 * STEPS
    played = rng.random((2, length)) < 0.6 + 0.35 * density
    played[:, 0] = True
    walk = np.clip(np.cumsum(rng.integers(-2, 3, (2, length)), axis=1), -4, 5)
    order = np.resize([0, 0, 1, 0], -(-len(chords) // 2))
    steps = np.flatnonzero(played[order].ravel()[: len(chords) * STEPS])
    degrees = walk[order].ravel()[steps]
    roots = np.repeat(chords, STEPS)[steps]
    # On the beat the melody rests on a chord tone: the nearest of root, third and fifth.
    tones = np.array([0, 0, 2, 2, 4, 4, 7])
    offset = degrees - roots
    resting = roots + 7 * (offset // 7) + tones[offset % 7]
    return steps, np.where(steps % 4 == 0, resting, degrees)


_BASS_LINES = tuple(
    np.array(line, bool) for line in ([1, 0, 0, 1, 1, 0, 0, 1], [1, 0, 1, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 0, 1, 0])
)


def _drums(amount: float, bars: int, bar: int, n: int, rng: np.random.Generator, rate: int) -> Samples:
    """Kick, snare and hi-hat on sixteenths: the more `amount` (0..1), the louder and the busier."""
    out = np.zeros(n + rate, np.float32)
    if amount < 0.08:
        return out[:n]
    t = np.arange(rate // 4, dtype=np.float32) / np.float32(rate)
    noise = rng.standard_normal(len(t), dtype=np.float32)
    kick = 0.8 * np.sin(2 * np.pi * (48 * t - 5 * np.exp(-t * 28))) * np.exp(-t * 14)
    snare = 0.4 * (noise + np.sin(2 * np.pi * 185 * t)) * np.exp(-t * 22)
    hat = 0.3 * np.diff(noise, prepend=noise[:1]) * np.exp(-t * 60)
    beats = np.zeros((3, 16), bool)
    beats[0, [0, 4, 8, 12] if amount > 0.55 else [0, 8]] = True
    beats[1, [4, 12]] = amount > 0.25
    beats[2, ::2] = True
    if amount > 0.5:
        beats[0, rng.integers(1, 16)] = True
    starts = _grid(bars, bar, 16)
    gain = np.float32(0.6 * 10 ** (1.5 * (amount - 1)))
    for hits, sample in zip(beats, (kick, snare, hat), strict=True):
        hit = (gain * sample).astype(np.float32)
        for start in starts[np.resize(hits, len(starts))]:
            if start < n:
                out[start : start + len(hit)] += hit
    return out[:n]


def _haze(amount: float, n: int, rng: np.random.Generator) -> Samples:
    """Steady noise, (n,), from 58 dB below the music to 6 dB below it."""
    white = rng.standard_normal(n + 2, dtype=np.float32)
    noise = white[2:] + np.float32(0.6) * white[1:-1] + np.float32(0.36) * white[:-2]
    haze: Samples = noise * np.float32(0.08 * 10 ** (-2.9 + 2.6 * amount))
    return haze


def _rms(wave: Samples) -> np.float32:
    return np.float32(np.sqrt(np.mean(wave * wave)))
