"""What C code writes to the terminal while mp3 is decoded does not arrive; what Python says does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

SAYS = """
import os, sys, threading
from data.audio.quiet import quiet
os.write(2, b"before\\n")
with quiet():
    os.write(2, b"noise\\n")
    with quiet():
        os.write(2, b"noise\\n")
    print("said meanwhile", file=sys.stderr)
    os.write(2, b"noise\\n")
os.write(2, b"after\\n")
print("and after", file=sys.stderr)
"""
DECODES = """
import sys
from pathlib import Path
from data.audio.reading import AudioError, load_mono, probe
for path in sys.argv[1:]:
    for read in (probe, load_mono):
        try:
            read(Path(path))
        except AudioError as error:
            print(error.reason)
"""
ROOT = str(Path(__file__).parents[3])


def stderr_of(code: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env={"PYTHONPATH": ROOT}
    )
    return ended.stderr


def test_only_the_noise_is_kept_away() -> None:
    assert stderr_of(SAYS).splitlines() == ["before", "said meanwhile", "after", "and after"]


def test_damaged_mp3_files_are_decoded_without_a_word(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", np.sin(np.arange(80_000) / 8) / 4, 16_000)
    whole = (tmp_path / "a.mp3").read_bytes()
    noise = np.random.default_rng(7).bytes(3000)
    (tmp_path / "cut.mp3").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.mp3").write_bytes(whole[:4000] + noise + whole[7000:])
    (tmp_path / "unlike.dat").write_bytes(bytes(range(256)) * 20)
    assert stderr_of(DECODES, *map(str, sorted(tmp_path.iterdir()))) == ""
