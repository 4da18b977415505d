"""Augmentation in two steps: a table of uniforms becomes parameters, and parameters change a batch of images.

The uniforms are drawn by the pipeline (stateless, seeded); everything here is pure `keras.ops` and runs inside tf.data
as well as under JAX. All geometry is fused into one interpolation.

Names and meaning are those of Keras's legacy `ImageDataGenerator`, with one difference on purpose: since its axes were
swapped, that class moves an image sideways for `height_shift_range`; here `width_shift_range` moves it sideways.
"""

import functools
import math

import keras
import numpy as np
from keras import ops

from kuzushiji_tf.config import ImageAugmentation

_GRID = 4  # control points a side of the elastic warp: one Bezier patch
_COLUMNS = ("rotation", "shift_x", "shift_y", "shear", "zoom_x", "zoom_y", "brightness", "cutout_x", "cutout_y")
_FIELD = len(_COLUMNS) + 2 * _GRID * _GRID  # the first column of what the displacement field takes
_WEAKEST_MODE = 0.01  # of a displacement field that counts, fraction of the strongest


def uniform_columns(augmentation: ImageAugmentation, image_size: tuple[int, int]) -> int:
    """Return how many uniforms `parameters_from_uniforms` takes for an image of that height and width."""
    columns = _FIELD + (augmentation.blur > 0)  # which takes the last one, so that without it nothing changes
    if not augmentation.elastic_alpha:
        return columns
    return columns + 2 * math.prod(field_modes(augmentation.elastic_sigma, side).shape[1] for side in image_size)


def parameters_from_uniforms(
    augmentation: ImageAugmentation, uniforms: keras.KerasTensor, image_size: tuple[int, int]
) -> dict[str, keras.KerasTensor]:
    """Return what is drawn for each image, in the units of `ImageDataGenerator`'s own parameters.

    Args:
        uniforms: float32 `[batch, uniform_columns(augmentation, image_size)]` in 0 <= u < 1.
        image_size: height and width in pixels.

    Returns:
        `[batch]` each: `rotation` and `shear` (radians), `shift_x`, `shift_y` (pixels), `zoom_x`, `zoom_y` and
        `brightness` (factors), `cutout_x`, `cutout_y` (the square's center, pixels), `blur` (pixels); `elastic`
        `[batch, 4, 4, 2]` (displacement in x and y of the control points, pixels); and, if there is one, `field`
        `[batch, 2, i, j]` (strength of each pair of modes of the displacement field in x and y, pixels).
    """
    height, width = image_size
    column = {name: uniforms[:, index] for index, name in enumerate(_COLUMNS)}
    signed = {name: 2 * values - 1 for name, values in column.items()}
    bend = (2 * uniforms[:, len(_COLUMNS) : _FIELD] - 1) * augmentation.elastic
    low, high = augmentation.brightness_range or (1.0, 1.0)
    parameters = {
        "rotation": signed["rotation"] * math.radians(augmentation.rotation_range),
        "shift_x": signed["shift_x"] * _pixels(augmentation.width_shift_range, width),
        "shift_y": signed["shift_y"] * _pixels(augmentation.height_shift_range, height),
        "shear": signed["shear"] * math.radians(augmentation.shear_range),
        "zoom_x": 1 + signed["zoom_x"] * augmentation.zoom_range,
        "zoom_y": 1 + signed["zoom_y"] * augmentation.zoom_range,
        "brightness": low + column["brightness"] * (high - low),
        "cutout_x": ops.floor(column["cutout_x"] * width),
        "cutout_y": ops.floor(column["cutout_y"] * height),
        "blur": uniforms[:, -1] ** 2 * augmentation.blur,
        "elastic": ops.reshape(bend, (-1, _GRID, _GRID, 2)) * np.array([width, height], np.float32),
    }
    if augmentation.elastic_alpha:
        modes = [field_modes(augmentation.elastic_sigma, side).shape[1] for side in image_size]
        fields = 2 * math.prod(modes)
        strength = normals(uniforms[:, _FIELD : _FIELD + fields]) * (augmentation.elastic_alpha / math.sqrt(3))
        parameters["field"] = ops.reshape(strength, (-1, 2, *modes))
    return parameters


def normals(uniforms: keras.KerasTensor) -> keras.KerasTensor:
    """Return values of the standard normal distribution, at most 5.2 away from 0, for uniforms in 0 <= u < 1."""
    return math.sqrt(2) * ops.erfinv(ops.clip(2 * uniforms - 1, 2**-22 - 1, 1 - 2**-22))  # at -1 and 1: infinite


@functools.cache
def field_modes(sigma: float, size: int) -> np.ndarray:
    """Return the modes along one axis of random displacements smoothed by a Gaussian, float32 `[size, modes]`.

    Simard et al. 2003 draw a displacement for each pixel evenly from [-1, 1], smooth by a Gaussian and multiply by
    alpha. Smoothing along an axis is a symmetric matrix; in its eigenvectors that noise is again uncorrelated with
    variance 1/3, a sum of many small parts and so normal, and only the few long waves outlive the smoothing: they are
    drawn directly. Outside the image there is no displacement (`scipy.ndimage.gaussian_filter` with mode="constant").
    """
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    reach = int(4 * sigma + 0.5)
    total = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).sum()
    smoothing = np.where(distance <= reach, np.exp(-0.5 * (distance / sigma) ** 2), 0) / total
    weights, vectors = np.linalg.eigh(smoothing)
    kept = weights > _WEAKEST_MODE * weights[-1]
    # The sign of an eigenvector is a matter of the library; fixed, the same draws bend the same way everywhere.
    return (vectors * np.sign(vectors[0]) * weights)[:, kept].astype(np.float32)


def augment(
    augmentation: ImageAugmentation,
    images: keras.KerasTensor,
    parameters: dict[str, keras.KerasTensor],
    noise: keras.KerasTensor | None = None,
) -> keras.KerasTensor:
    """Return a changed batch; what `augmentation` leaves at zero costs nothing.

    Args:
        images: float32 `[batch, height, width, 1]`, 0..255.
        parameters: as `parameters_from_uniforms` returns them.
        noise: float32 `[batch, height, width, 2]` in 0 <= u < 1, needed when `augmentation.noise` is above 0:
            whether a pixel is replaced, and by what.

    Returns:
        float32 of the images' shape, 0..255.
    """
    if _moves(augmentation):
        images = _moved(images, parameters, augmentation)
    if augmentation.blur:
        images = _blurred(images, parameters["blur"], augmentation.blur)
    if augmentation.brightness_range is not None:
        images = ops.clip(images * parameters["brightness"][:, None, None, None], 0.0, 255.0)
    if noise is not None:
        images = ops.where(noise[..., :1] < augmentation.noise, 255.0 * noise[..., 1:], images)
    if augmentation.cutout:
        images = images * _outside_square(parameters, augmentation.cutout, tuple(images.shape[1:3]))
    return images


def _pixels(value: float, size: int) -> float:
    return value * size if value < 1 else value


def _moves(augmentation: ImageAugmentation) -> bool:
    names = ("rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range", "elastic")
    return any(getattr(augmentation, name) for name in (*names, "elastic_alpha"))


def _affine_coefficients(parameters: dict[str, keras.KerasTensor], image_size: tuple[int, int]) -> keras.KerasTensor:
    """Return `[6, batch, 1, 1]`: output pixel (x, y) takes its value from (c0 x + c1 y + c2, c3 x + c4 y + c5).

    The order is ImageDataGenerator's: rotation, then shift, shear and zoom, about the image's center.
    """
    center_x, center_y = (image_size[1] - 1) / 2, (image_size[0] - 1) / 2
    cosine, sine = ops.cos(parameters["rotation"]), ops.sin(parameters["rotation"])
    slant, squeeze = -ops.sin(parameters["shear"]), ops.cos(parameters["shear"])
    xx, xy = cosine * parameters["zoom_x"], (cosine * slant - sine * squeeze) * parameters["zoom_y"]
    yx, yy = sine * parameters["zoom_x"], (sine * slant + cosine * squeeze) * parameters["zoom_y"]
    shift_x = cosine * parameters["shift_x"] - sine * parameters["shift_y"]
    shift_y = sine * parameters["shift_x"] + cosine * parameters["shift_y"]
    offset_x = shift_x + center_x - xx * center_x - xy * center_y
    offset_y = shift_y + center_y - yx * center_x - yy * center_y
    return ops.stack([xx, xy, offset_x, yx, yy, offset_y])[..., None, None]


def _moved(
    images: keras.KerasTensor, parameters: dict[str, keras.KerasTensor], augmentation: ImageAugmentation
) -> keras.KerasTensor:
    """Move and bend in one bilinear lookup: affine source coordinates plus the displacements."""
    height, width = images.shape[1:3]
    c = _affine_coefficients(parameters, (height, width))
    x = np.arange(width, dtype=np.float32)[None, None, :]
    y = np.arange(height, dtype=np.float32)[None, :, None]
    source_x, source_y = c[0] * x + c[1] * y + c[2], c[3] * x + c[4] * y + c[5]
    if augmentation.elastic:
        bend = ops.einsum("hi,bijc->bhjc", _bernstein(height), parameters["elastic"])
        bend = ops.einsum("wj,bhjc->bhwc", _bernstein(width), bend)
        source_x, source_y = source_x + bend[..., 0], source_y + bend[..., 1]
    if augmentation.elastic_alpha:
        rows, columns = (field_modes(augmentation.elastic_sigma, side) for side in (height, width))
        bend = ops.einsum("wj,bchj->bchw", columns, ops.einsum("hi,bcij->bchj", rows, parameters["field"]))
        source_x, source_y = source_x + bend[:, 0], source_y + bend[:, 1]
    return _bilinear(images, source_y, source_x, augmentation)


def _bernstein(size: int) -> np.ndarray:
    """Return the cubic Bernstein basis at `size` pixels, float32 `[size, 4]`: the weights of a Bezier curve."""
    t = np.linspace(0, 1, size)[:, None]
    power = np.arange(_GRID)
    weights = np.array([math.comb(_GRID - 1, k) for k in range(_GRID)])
    return (weights * t**power * (1 - t) ** (_GRID - 1 - power)).astype(np.float32)


def _bilinear(
    images: keras.KerasTensor, rows: keras.KerasTensor, columns: keras.KerasTensor, augmentation: ImageAugmentation
) -> keras.KerasTensor:
    """Look images `[batch, h, w, 1]` up at fractional `[batch, h, w]` rows and columns."""
    height, width = images.shape[1:3]
    constant = augmentation.fill_mode == "constant"
    if constant:
        # A frame of one background pixel: whatever lies outside is clipped onto it.
        images = ops.pad(images - augmentation.cval, ((0, 0), (1, 1), (1, 1), (0, 0)))
        rows, columns = ops.clip(rows + 1, 0.0, height + 1.0), ops.clip(columns + 1, 0.0, width + 1.0)
    else:
        rows = _folded(rows, height, augmentation.fill_mode)
        columns = _folded(columns, width, augmentation.fill_mode)
    high, wide = images.shape[1:3]
    top, left = ops.clip(ops.floor(rows), 0, high - 2), ops.clip(ops.floor(columns), 0, wide - 2)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    flat = ops.reshape(images, (-1, 1))
    # One lookup fetches the four neighbors, since a gather of rows costs far less than four gathers.
    quads = ops.concatenate([ops.roll(flat, -shift, axis=0) for shift in (0, 1, wide, wide + 1)], axis=1)
    start = ops.arange(0, ops.shape(images)[0] * (high * wide), high * wide, dtype="int32")[:, None, None]
    corners = ops.take(quads, start + ops.cast(top * wide + left, "int32"), axis=0)
    upper = corners[..., 0:1] + right * (corners[..., 1:2] - corners[..., 0:1])
    lower = corners[..., 2:3] + right * (corners[..., 3:4] - corners[..., 2:3])
    result = upper + down * (lower - upper)
    return result + augmentation.cval if constant else result


def _folded(coordinates: keras.KerasTensor, size: int, fill_mode: str) -> keras.KerasTensor:
    """Bring coordinates outside 0..size-1 back inside, as `scipy.ndimage` defines each mode."""
    if fill_mode == "wrap":
        outside = ops.logical_or(coordinates < 0, coordinates > size - 1)
        coordinates = ops.where(outside, ops.mod(coordinates, float(size - 1)), coordinates)
    elif fill_mode == "reflect":
        coordinates = ops.mod(coordinates + 0.5, 2.0 * size)
        coordinates = ops.minimum(coordinates, 2.0 * size - coordinates) - 0.5
    return ops.clip(coordinates, 0.0, size - 1.0)


def _blurred(images: keras.KerasTensor, deviations: keras.KerasTensor, largest: float) -> keras.KerasTensor:
    """Return images `[batch, h, w, 1]` each blurred by its own Gaussian; `deviations` `[batch]`, at most `largest`."""
    reach = max(1, round(2.5 * largest))
    squares = np.arange(-reach, reach + 1, dtype=np.float32) ** 2
    weights = ops.exp(-squares / (2 * ops.maximum(deviations[:, None], 0.1) ** 2))
    weights = (weights / ops.sum(weights, axis=1, keepdims=True))[..., None, None, None]
    for axis in (1, 2):
        around = ((0, 0), *((reach, reach) if axis == side else (0, 0) for side in (1, 2)), (0, 0))
        padded, size = ops.pad(images, around), images.shape[axis]
        parts = [padded[:, k : k + size] if axis == 1 else padded[:, :, k : k + size] for k in range(2 * reach + 1)]
        images = sum(weights[:, k] * part for k, part in enumerate(parts))
    return images


def _outside_square(
    parameters: dict[str, keras.KerasTensor], side: int, image_size: tuple[int, int]
) -> keras.KerasTensor:
    """Return `[batch, h, w, 1]`: 0 inside the square about the drawn center (it may hang over the edge), 1 outside."""
    y = np.arange(image_size[0], dtype=np.float32)[None, :]
    x = np.arange(image_size[1], dtype=np.float32)[None, :]
    top, left = parameters["cutout_y"][:, None] - side // 2, parameters["cutout_x"][:, None] - side // 2
    in_rows = ops.logical_and(y >= top, y < top + side)
    in_columns = ops.logical_and(x >= left, x < left + side)
    inside = ops.logical_and(in_rows[:, :, None], in_columns[:, None, :])
    return 1 - ops.cast(inside, "float32")[..., None]
