"""A picture to try filters on, drawn by arithmetic: evening at a lake, with a lighthouse. It is free of any rights."""

import numpy as np


def scene(height=360, width=540, seed=4):
    """Return an RGB picture, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    y, x = y / height, x / height
    shore = 0.62
    picture = _sky(x, y)
    for top, roughness, colour in (0.36, 0.16, (0.45, 0.42, 0.58)), (0.46, 0.12, (0.27, 0.29, 0.42)):
        ridge = top + roughness * _ridge(width, rng)
        picture[(y > ridge[None]) & (y < shore)] = colour
    _water(picture, x, y, shore, rng)
    _lighthouse(picture, x, y, shore)
    picture += 0.012 * rng.standard_normal((height, width, 1))
    return (255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _sky(x, y):
    high, low = np.array([0.22, 0.36, 0.62]), np.array([0.98, 0.72, 0.45])
    mix = np.clip(y / 0.6, 0, 1)[..., None] ** 1.5
    sky = (1 - mix) * high + mix * low
    distance = np.hypot(x - 1.05, y - 0.3)
    sky += 0.35 * np.exp(-((distance / 0.16) ** 2))[..., None] * (1, 0.9, 0.6)
    sky[distance < 0.055] = (1.0, 0.95, 0.8)
    return sky


def _ridge(width, rng):
    """A line with detail at every scale, from -0.5 to 0.5."""
    frequency = np.fft.rfftfreq(width, 1 / width)
    spectrum = np.exp(2j * np.pi * rng.random(frequency.size)) / np.maximum(frequency, 1) ** 1.3
    spectrum[0] = 0
    line = np.fft.irfft(spectrum, width)
    return line / np.ptp(line)


def _water(picture, x, y, shore, rng):
    """The picture above the shore, mirrored and moved about by ripples."""
    height = len(y)
    row = int(shore * height)
    depth = np.arange(height - row)
    wave = np.sin(0.9 * depth + 3 * rng.random()) * (1 + depth / 12) + 2 * rng.standard_normal(depth.size)
    for i, moved in zip(depth, wave, strict=True):
        mirrored = np.roll(picture[max(0, row - 1 - int(1.3 * i))], round(moved), axis=0)
        picture[row + i] = 0.72 * mirrored + (0.0, 0.02, 0.05) + 0.03 * np.sin(9 * x[0] + 0.7 * i)[:, None]


def _lighthouse(picture, x, y, shore):
    rock = (y > shore - 0.05 - 0.03 * np.cos(9 * (x - 0.3))) & (np.abs(x - 0.3) < 0.19) & (y < shore + 0.03)
    picture[rock] = (0.2, 0.18, 0.19)
    half = 0.035 + 0.035 * (y - 0.2) / (shore - 0.2)
    tower = (np.abs(x - 0.3) < half) & (y > 0.2) & (y < shore - 0.05)
    light = 0.75 + 0.3 * (x - 0.3) / half
    bands = np.where(((y - 0.2) / 0.062).astype(int)[..., None] % 2 == 0, (0.92, 0.9, 0.86), (0.78, 0.16, 0.13))
    picture[tower] = (bands * light[..., None])[tower]
    picture[(np.abs(x - 0.3) < 0.05) & (np.abs(y - 0.2) < 0.008)] = (0.15, 0.15, 0.17)
    lamp = (np.abs(x - 0.3) < 0.026) & (y > 0.145) & (y < 0.192)
    picture[lamp] = (1.0, 0.93, 0.6)
    picture[lamp & (np.abs((x - 0.3) % 0.017 - 0.0085) < 0.002)] = (0.15, 0.15, 0.17)
    roof = (y > 0.1) & (y < 0.147) & (np.abs(x - 0.3) < 0.7 * (y - 0.1))
    picture[roof] = (0.6, 0.12, 0.1)
