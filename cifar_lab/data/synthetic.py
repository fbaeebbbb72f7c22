"""A synthetic dataset of CIFAR-10's format, drawn by code: ten classes of shapes and textures.

Notebooks, tests and a first look at a model need images with something to learn in them, even
where CIFAR cannot be downloaded. These are 32 x 32 colour images, ten classes, and they carry the
lesson that the convolutional network is taught with. The class is a *local pattern*: a corner, a
round edge, a run of stripes. It may appear at many places, at any size within a range, in any
colour that is brighter than its ground. No pixel and no colour tells the class, so a fully
connected network has to learn each pattern again for every place, while a convolution learns it
once and shares it. A shaded ground, scattered scraps of other colours and pixel noise keep the task
from being finished by the first small network.

Everything but the pattern itself (place, size, tilt, colours, shading, scraps, noise) is drawn in
the same way for all classes. At one radius all patterns cover about the same area, which is what
the factors in the shapes are for: so an image's mean colour does not tell its class either.

The same arguments give the same bytes. The only operations on floats are those that IEEE 754 rounds
exactly (+, -, *, /, sqrt), elementwise in float32: no sine, no sum whose order could vary, no BLAS.

An accuracy on these images says nothing about CIFAR. Any figure made from them is to be called
synthetic, wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

CLASS_NAMES: tuple[str, ...] = (
    "disc",
    "ring",
    "square",
    "triangle",
    "cross",
    "horizontal stripes",
    "vertical stripes",
    "diagonal stripes",
    "checkerboard",
    "dots",
)

SIZE = 32  # pixels, height and width

# These set the difficulty. Lengths are in pixels, colours in levels of 0 to 255.
RADIUS = (8.0, 11.0)  # nominal: the area of a pattern is about 1.57 times its square
MARGIN = 11.0  # the smallest distance of a pattern's centre from the border
PERIOD = (3.6, 5.6)  # the period of a texture
TILT = 0.06  # a texture's largest tilt: tangent of half the angle, so about 7 degrees to each side
GROUND = (40.0, 170.0)  # each channel of the background
CONTRAST = (50.0, 130.0)  # the difference in brightness of a pattern and the background
TINT = 40.0  # the largest additional difference of each channel, in both directions
SHADING = 30.0  # the largest change of the background from the centre to a border
SCRAPS = 3  # the number of scraps in an image
SCRAP_LENGTH = (0.5, 4.0)  # half the length of a scrap; the next line is half its width
SCRAP_WIDTH = (0.4, 1.4)
NOISE = 20.0  # the largest deviation of a pixel's channel

Floats = npt.NDArray[np.float32]


def draw(num_images: int, seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draw synthetic images and their labels.

    Args:
        num_images: The number of images; the classes share them equally, within one.
        seed: Seeds the drawing, a number from 0 up. Other seeds give other images, so that a
            training set and a test set are two draws with two seeds.

    Returns:
        The images, uint8 of shape (num_images, 32, 32, 3), red, green and blue last; and the
        labels, int64 of shape (num_images,), indices into ``CLASS_NAMES`` in shuffled order.

    Raises:
        ValueError: ``num_images`` is not a whole number from 1 up, or ``seed`` not one from 0 up.
    """
    _check_whole("num_images", num_images, at_least=1)
    _check_whole("seed", seed, at_least=0)
    rng = np.random.default_rng(int(seed))
    num_images = int(num_images)
    order = np.argsort(rng.random(num_images), kind="stable")
    labels = (order % len(CLASS_NAMES)).astype(np.int64)
    images = np.empty((num_images, SIZE, SIZE, 3), dtype=np.uint8)
    for label, name in enumerate(CLASS_NAMES):
        chosen = labels == label
        images[chosen] = _draw_class(name, int(chosen.sum()), rng)
    return images, labels


def _check_whole(name: str, value: object, at_least: int) -> None:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{name} is {value!r}; expected a whole number from {at_least} up.")


def _draw_class(name: str, count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw ``count`` images of a class, (count, 32, 32, 3); only the pattern tells which it is."""
    ground = _uniform(rng, GROUND, (count, 3, 1, 1))
    canvas = ground + _shading(count, rng)
    for _ in range(SCRAPS):
        canvas += _scrap(count, rng) * _colour_shift(count, rng)
    pattern = _pattern(name, count, rng)
    canvas += pattern * (ground + _colour_shift(count, rng) - canvas)
    canvas += _uniform(rng, (-NOISE, NOISE), canvas.shape)
    np.clip(canvas, 0, 255, out=canvas)
    return canvas.astype(np.uint8).transpose(0, 2, 3, 1)


def _shading(count: int, rng: np.random.Generator) -> Floats:
    """Draw a slope of brightness in a random direction, (count, 1, 32, 32)."""
    from_middle = (np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2) / (SIZE / 2)
    down, right = _uniform(rng, (-SHADING, SHADING), (2, count, 1, 1, 1))
    return down * from_middle[:, None] + right * from_middle


def _scrap(count: int, rng: np.random.Generator) -> Floats:
    """Draw how far each pixel lies under a short bar at any place and angle, (count, 1, 32, 32)."""
    x, y = _axes(count, rng, margin=0.0, turn=1.0)
    length = _uniform(rng, SCRAP_LENGTH, (count, 1, 1, 1))
    width = _uniform(rng, SCRAP_WIDTH, (count, 1, 1, 1))
    return _coverage(np.maximum(np.abs(x) - length, np.abs(y) - width))


def _pattern(name: str, count: int, rng: np.random.Generator) -> Floats:
    """Draw how far each pixel lies under the pattern of class ``name``, (count, 1, 32, 32)."""
    radius = _uniform(rng, RADIUS, (count, 1, 1, 1))
    if name in _SHAPES:
        x, y = _axes(count, rng, MARGIN, turn=1.0)
        return _coverage(_SHAPES[name](x, y, radius))
    x, y = _axes(count, rng, MARGIN, turn=TILT)
    window = np.where(
        _coin(rng, (count, 1, 1, 1)), _disc(x, y, 1.41 * radius), _square(x, y, 1.41 * radius)
    )
    period = _uniform(rng, PERIOD, (count, 1, 1, 1))
    shift_x, shift_y = period * _uniform(rng, (0.0, 1.0), (2, count, 1, 1, 1))
    mirror = np.where(_coin(rng, (count, 1, 1, 1)), np.float32(1), np.float32(-1))
    texture = _TEXTURES[name](mirror * x + shift_x, y + shift_y, period)
    return _coverage(np.maximum(texture, window))


def _axes(
    count: int, rng: np.random.Generator, margin: float, turn: float
) -> tuple[Floats, Floats]:
    """Return coordinates around a random place in turned axes: x and y, each (count, 1, 32, 32).

    With t the tangent of half the angle, drawn from -turn to turn, (1 - t^2) / (1 + t^2) is its
    cosine and 2t / (1 + t^2) its sine: every angle up to 90 degrees to either side at turn 1.
    """
    pixel = np.arange(SIZE, dtype=np.float32)
    middle_x, middle_y = _uniform(rng, (margin, SIZE - 1 - margin), (2, count, 1, 1, 1))
    t = _uniform(rng, (-turn, turn), (count, 1, 1, 1))
    cosine, sine = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    right, down = pixel - middle_x, pixel[:, None] - middle_y
    return cosine * right + sine * down, cosine * down - sine * right


def _coverage(distance: Floats) -> Floats:
    """Return 1 inside an outline (a negative distance), 0 outside, a ramp one pixel wide across."""
    return np.clip(0.5 - distance, 0.0, 1.0)


def _colour_shift(count: int, rng: np.random.Generator) -> Floats:
    """Draw the step from the ground's colour to another, brighter one, (count, 3, 1, 1)."""
    contrast = _uniform(rng, CONTRAST, (count, 1, 1, 1))
    return contrast + _uniform(rng, (-TINT, TINT), (count, 3, 1, 1))


def _uniform(
    rng: np.random.Generator, between: tuple[float, float], shape: tuple[int, ...]
) -> Floats:
    low, high = between
    values = rng.random(shape, dtype=np.float32)
    values *= high - low
    values += low
    return values


def _coin(rng: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    return rng.random(shape, dtype=np.float32) < 0.5


# Shapes: the distance of a point (x, y) to the outline of a shape that fits a circle of ``radius``,
# in pixels, negative inside.


def _from_centre(x: Floats, y: Floats) -> Floats:
    return np.sqrt(x * x + y * y)


def _disc(x: Floats, y: Floats, radius: Floats) -> Floats:
    return _from_centre(x, y) - 0.71 * radius


def _ring(x: Floats, y: Floats, radius: Floats) -> Floats:
    return np.abs(_from_centre(x, y) - 0.85 * radius) - 0.15 * radius


def _square(x: Floats, y: Floats, radius: Floats) -> Floats:
    return np.maximum(np.abs(x), np.abs(y)) - 0.63 * radius


def _triangle(x: Floats, y: Floats, radius: Floats) -> Floats:
    slanted = 0.8660254 * np.abs(x) - 0.5 * y
    return np.maximum(slanted, y) - 0.55 * radius


def _cross(x: Floats, y: Floats, radius: Floats) -> Floats:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 0.84 * radius, np.minimum(x, y) - 0.28 * radius)


# Textures: the distance of a point (x, y) to the outline of a pattern that fills the plane, given
# its period in pixels, negative inside.


def _from_line(x: Floats, period: Floats) -> Floats:
    """Return the distance from x to the nearest of the lines that lie a period apart."""
    turns = x / period
    return period * np.abs(turns - np.floor(turns) - 0.5)


def _vertical_stripes(x: Floats, y: Floats, period: Floats) -> Floats:
    return _from_line(x, period) - 0.25 * period


def _horizontal_stripes(x: Floats, y: Floats, period: Floats) -> Floats:
    return _vertical_stripes(y, x, period)


def _diagonal_stripes(x: Floats, y: Floats, period: Floats) -> Floats:
    return _vertical_stripes(0.70710678 * (x + y), y, period)


def _checkerboard(x: Floats, y: Floats, period: Floats) -> Floats:
    column, row = _vertical_stripes(x, y, period), _horizontal_stripes(x, y, period)
    return np.maximum(np.minimum(column, row), -np.maximum(column, row))


def _dots(x: Floats, y: Floats, period: Floats) -> Floats:
    return _from_centre(_from_line(x, period), _from_line(y, period)) - 0.36 * period


_SHAPES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
}
_TEXTURES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "horizontal stripes": _horizontal_stripes,
    "vertical stripes": _vertical_stripes,
    "diagonal stripes": _diagonal_stripes,
    "checkerboard": _checkerboard,
    "dots": _dots,
}
