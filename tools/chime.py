"""Writes so8t/engine/sound/chime.wav: two soft notes, in whole numbers, so that every machine makes the same bytes.

python tools/chime.py
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

RATE = 11025  # samples a second
NOTES = ((12, 1800), (8, 3000))  # samples in half a wave, samples in all: a high note follows a low one
LOUD = 60  # of 127


def chime() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(RATE)
        sound.writeframes(bytes(sample for half, length in NOTES for sample in note(half, length)))
    return file.getvalue()


def note(half: int, length: int) -> list[int]:
    """A triangle that fades away, as unsigned bytes around 128."""
    samples = []
    for at in range(length):
        phase = at % (2 * half)
        height = phase if phase < half else 2 * half - phase  # 0 to half
        samples.append(128 + (2 * height - half) * LOUD * (length - at) // (half * length))
    return samples


if __name__ == "__main__":
    path = Path(__file__).resolve().parent.parent / "so8t" / "engine" / "sound" / "chime.wav"
    path.write_bytes(chime())
    print(path.name)
