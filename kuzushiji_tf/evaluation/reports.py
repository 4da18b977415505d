"""The pictures of a training run and of an evaluation; each function returns a figure, `figures.save` writes it."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.evaluation.figures import BLUE, FONTS, GRAY, ORANGE, Sheet, new_figure, shown, to_array
from kuzushiji_tf.evaluation.metrics import CALIBRATION_BINS, Predictions, Reliability, most_confused

MOST_CLASSES_DRAWN = 80  # of a confusion matrix: characters on the axes can no longer be read beyond
CLASSES_SELECTED = 40  # drawn where there are more
MOST_CLASSES_COUNTED = 15  # whose cells have room for a number
FEW_PAIRS, MANY_PAIRS = 12, 50  # of confused classes, where a matrix shows all classes and where it does not
_LEVELS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)  # of accuracy, marked on a logarithmic axis


def learning_curves(history: Path) -> Figure:
    """Draw loss, accuracy and learning rate over the epochs of a `history.csv`, and macro precision and recall.

    The columns of the last two, and of validation, may be absent.

    Raises:
        MissingFileError: no such file.
        UserError: the file has no epochs, or a value that is not a number.
    """
    columns = _read_history(history)
    panels = {"loss": "loss", "accuracy": "accuracy", "learning_rate": "learning rate"}
    panels |= {name: f"{name}, mean of the classes" for name in ("precision", "recall") if name in columns}
    rows = -(-len(panels) // 3)
    figure = new_figure(1300, 420 * rows)
    for number, (name, title) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, 3, number + 1)
        for column, label, color in ((name, "training", BLUE), (f"val_{name}", "validation", ORANGE)):
            if column in columns:
                axes.plot(columns["epoch"], columns[column], ".-", color=color, label=label)
        _plain(axes, title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if f"val_{name}" in columns:
            axes.legend(frameon=False)
        if name in ("accuracy", "precision", "recall"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.tight_layout()
    return figure


def confusion_figure(matrix: np.ndarray, classes: Labels) -> Figure:
    """Draw a confusion matrix, int `[classes, classes]`, rows the true class: right in blue, mistakes in red.

    Classes with neither test images nor predictions are left out; of more than 80, the 40 confused most are drawn.
    """
    chosen, title = _classes_to_draw(matrix)
    part = matrix[np.ix_(chosen, chosen)]
    share = part / np.maximum(matrix[chosen].sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(len(chosen), dtype=bool)
    side = max(480, 15 * len(chosen))
    figure = new_figure(side + 250, side + 130)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.imshow(np.ma.array(share, mask=~diagonal), cmap="Blues", vmin=0, vmax=1.2)
    # The root lets a mistake of 1 % be seen beside one of 50 %.
    norm = PowerNorm(0.5, 0, max(share[~diagonal].max(initial=0), 0.01))
    wrong = axes.imshow(np.ma.array(share, mask=diagonal), cmap="Reds", norm=norm)
    names = [shown(classes[index]) for index in chosen]
    size = float(np.clip(side / len(chosen) * 0.6, 7, 16))
    axes.set_xticks(range(len(chosen)), names, fontsize=size, fontfamily=FONTS)
    axes.set_yticks(range(len(chosen)), names, fontsize=size, fontfamily=FONTS)
    for label in axes.get_xticklabels():
        # Code points and sequences of characters are too wide to stand side by side.
        label.set_rotation(90 if len(label.get_text()) > 1 else 0)
    axes.tick_params(length=0)
    axes.set(xlabel="recognized as", ylabel="true class", title=title)
    if len(chosen) <= MOST_CLASSES_COUNTED:
        for row, column in zip(*np.nonzero(part), strict=True):
            dark = share[row, column] > 0.7 if row == column else norm(share[row, column]) > 0.6
            color = "white" if dark else "black"
            axes.text(column, row, f"{part[row, column]:,}", ha="center", va="center", size=9, color=color)
    bar: dict[str, Any] = {"format": PercentFormatter(1.0), "pad": 0.02, "aspect": side / 20}
    figure.colorbar(wrong, ax=axes, label="mistakes, share of the true class", **bar)
    return figure


def confusion_image(matrix: np.ndarray, labels: Labels) -> np.ndarray:
    """Return the picture of a confusion matrix as RGB, uint8 `[height, width, 3]`."""
    return to_array(confusion_figure(matrix, labels))


def confused_pairs(images: np.ndarray, predictions: Predictions, classes: Labels, pairs: int | None = None) -> Figure:
    """Draw the most confused pairs of classes: an example of either, then the confused images.

    Args:
        images: uint8 `[n, h, w]`, in the order of the predictions.
        predictions: which of them were confused.
        classes: their names.
        pairs: how many to draw; None: 12, or 50 of more than 80 classes, whose confusion matrix cannot be drawn whole.
    """
    tile, gap, left, shown_images = 72, 8, 190, 8
    pairs = pairs or (MANY_PAIRS if len(classes) > MOST_CLASSES_DRAWN else FEW_PAIRS)
    found = most_confused(predictions.confusion_matrix, pairs)
    width = left + (shown_images + 2) * (tile + gap) + 40 + gap
    sheet = Sheet(width, 70 + max(len(found), 1) * (tile + gap + 4))
    mistakes = int((~predictions.correct).sum())
    sheet.text(gap, 20, f"Most confused pairs ({mistakes:,} mistakes in {len(predictions):,} images)", 13, ha="left")
    if not found:
        sheet.text(gap, 70, "No image was confused with another class.", 12, ha="left")
        return sheet.figure
    support = np.bincount(predictions.labels, minlength=predictions.classes)
    examples = left + tile / 2
    sheet.text(examples, 50, "true class", 9, color=GRAY)
    sheet.text(examples + tile + gap, 50, "taken for", 9, color=GRAY)
    sheet.text(
        left + 2 * (tile + gap) + 40, 50, "the confused images, the surest mistake first", 9, ha="left", color=GRAY
    )
    for number, (true, predicted, count) in enumerate(found):
        y = 64 + number * (tile + gap + 4)
        names = [shown(classes[index]) for index in (true, predicted)]
        sheet.text(gap, y + 24, " → ".join(names), 18 if max(map(len, names)) == 1 else 10, ha="left")
        sheet.text(
            gap, y + 56, f"{count:,} of {support[true]:,} ({count / support[true]:.1%})", 9, ha="left", color=GRAY
        )
        for column, index in enumerate((true, predicted)):
            x, example = left + column * (tile + gap), _surest_example(images, predictions, index)
            if example is None:
                sheet.text(x + tile / 2, y + tile / 2, names[column], 30 if len(names[column]) == 1 else 10)
            else:
                sheet.image(example, x, y, tile)
        confused = np.flatnonzero((predictions.labels == true) & (predictions.predicted == predicted))
        confused = confused[np.argsort(-predictions.confidence[confused], kind="stable")]
        for column, row in enumerate(confused[:shown_images]):
            sheet.image(images[row], left + 40 + (2 + column) * (tile + gap), y, tile)
    return sheet.figure


def worst_mistakes(images: np.ndarray, predictions: Predictions, classes: Labels, count: int = 40) -> Figure:
    """Draw the mistakes that the classifier was surest of: the true character, what it said, and how surely.

    `images` are uint8 `[n, h, w]`, in the order of the predictions.
    """
    tile, gap, caption, columns = 96, 14, 44, 8
    wrong = np.flatnonzero(~predictions.correct)
    worst = wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:count]
    rows = max(-(-len(worst) // columns), 1)
    sheet = Sheet(gap + columns * (tile + gap), 70 + rows * (tile + caption + gap))
    heading = f"The {len(worst)} surest of {len(wrong):,} mistakes in {len(predictions):,} images"
    sheet.text(gap, 20, heading if len(wrong) else f"No mistake in {len(predictions):,} images", 13, ha="left")
    if len(wrong):
        sheet.text(gap, 45, "true class → recognized as, and the probability given to that", 9, ha="left", color=GRAY)
    for number, row in enumerate(worst):
        x = gap + number % columns * (tile + gap)
        y = 62 + number // columns * (tile + caption + gap)
        names = [shown(classes[index]) for index in (predictions.labels[row], predictions.predicted[row])]
        sheet.image(images[row], x, y, tile)
        sheet.text(x + tile / 2, y + tile + 14, " → ".join(names), 14 if max(map(len, names)) == 1 else 7)
        sheet.text(x + tile / 2, y + tile + 33, f"{predictions.confidence[row]:.2%}", 9, color=GRAY)
    return sheet.figure


def reliability_diagram(bins: Reliability) -> Figure:
    """Draw accuracy against confidence, bin by bin, above the number of images in each bin."""
    figure = new_figure(620, 740)
    figure.set_layout_engine("constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = bins.count > 0
    edges = np.flatnonzero(filled) / CALIBRATION_BINS
    bars = {"width": 1 / CALIBRATION_BINS, "align": "edge", "edgecolor": "white"}
    upper.bar(edges, bins.accuracy[filled], color=BLUE, label="accuracy", **bars)
    upper.plot(bins.confidence[filled], bins.accuracy[filled], "o", color=ORANGE, label="at their mean confidence")
    upper.plot((0, 1), (0, 1), "--", color="black", linewidth=1, label="perfectly calibrated")
    title = f"Reliability: expected calibration error {bins.expected_calibration_error:.2%} ({CALIBRATION_BINS} bins)"
    _plain(upper, title=title, ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.02))
    lower.bar(edges, bins.count[filled], color=GRAY, **bars)
    _plain(lower, xlabel="confidence: probability of the recognized class", ylabel="images", yscale="log")
    lower.set_ylim(bottom=0.7)
    for axis in (upper.xaxis, upper.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def accuracy_against_size(points: Sequence[tuple[str, str, int, float]]) -> Figure:
    """Draw points (data set, name, parameters, accuracy): a panel a data set, numbered from the best down.

    Both axes are logarithmic, that of accuracy in the mistakes: from 98 to 99 % is as far as from 99 to 99.5 %.
    """
    datasets = list(dict.fromkeys(dataset for dataset, *_ in points))
    height = max(420, 120 + 17 * max(Counter(dataset for dataset, *_ in points).values()))  # room for the names
    figure = new_figure(1100, height * len(datasets))
    for number, dataset in enumerate(datasets):
        own = sorted((point[1:] for point in points if point[0] == dataset), key=lambda point: -point[2])
        axes = figure.add_subplot(len(datasets), 1, number + 1)
        _plain(axes, title=dataset, xlabel="parameters", ylabel="accuracy on the test split", xscale="log")
        sizes, heights = [size for _, size, _ in own], [_nines(accuracy) for *_, accuracy in own]
        axes.plot(sizes, heights, "o", color=BLUE, markersize=15, alpha=0.75)
        for place, (x, y) in enumerate(zip(sizes, heights, strict=True), 1):
            axes.text(x, y, str(place), ha="center", va="center", size=8, color="white")
        axes.set(xlim=(min(sizes) / 2, max(sizes) * 2), ylim=(min(heights) - 0.15, max(heights) + 0.15))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
        axes.xaxis.set_minor_locator(NullLocator())
        shown_levels = [level for level in _LEVELS if min(heights) - 0.15 <= _nines(level) <= max(heights) + 0.15]
        axes.set_yticks([_nines(level) for level in shown_levels], [f"{level:.1%}" for level in shown_levels])
        names = [f"{place:>2}  {accuracy:.2%}  {name}" for place, (name, _, accuracy) in enumerate(own, 1)]
        axes.text(1.02, 1, "\n".join(names), transform=axes.transAxes, va="top", size=9)
    figure.subplots_adjust(0.08, 60 / height / len(datasets), 0.64, 1 - 40 / height / len(datasets), hspace=0.3)
    return figure


def _nines(accuracy: float) -> float:
    """Return how many nines an accuracy has: 1 for 90 %, 2 for 99 %; no more than 4."""
    return -float(np.log10(max(1 - accuracy, 1e-4)))


def image_grid(images: np.ndarray, titles: Sequence[str] | None = None) -> np.ndarray:
    """Return images uint8 `[n, h, w]` side by side, each above its title: RGB, uint8 `[height, width, 3]`.

    Raises:
        ValueError: there are no images, or not as many titles as images.
    """
    if not len(images) or (titles is not None and len(titles) != len(images)):
        raise ValueError(f"A grid needs images, and as many titles as images; there are {len(images)} images.")
    gap, title_height = 6, 24 if titles else 0
    scale = max(1, round(72 / max(images.shape[1:])))
    height, width = (scale * side for side in images.shape[1:])
    columns = int(np.ceil(np.sqrt(len(images) * (height + title_height) / width)))
    rows = -(-len(images) // columns)
    sheet = Sheet(gap + columns * (width + gap), gap + rows * (height + title_height + gap))
    for index, image in enumerate(images):
        x = gap + index % columns * (width + gap)
        y = gap + index // columns * (height + title_height + gap)
        sheet.image(image, x, y, height)
        if titles:
            sheet.text(x + width / 2, y + height + title_height / 2, shown(titles[index]), size=12)
    return to_array(sheet.figure)


def _read_history(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        raise MissingFileError(f"There is no history file {path}.")
    with open(path, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        columns = {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}
        columns["epoch"]
    except (IndexError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is not the history of a run: it must hold numbers, one row for each epoch.") from None
    return columns


def _plain(axes: Axes, **settings: Any) -> None:
    axes.set(**settings)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _classes_to_draw(matrix: np.ndarray) -> tuple[np.ndarray, str]:
    rows, columns, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    involved = np.flatnonzero(rows + columns)
    title = f"Confusion matrix: {right.sum():,} of {rows.sum():,} right"
    if len(involved) <= MOST_CLASSES_DRAWN:
        return involved, title
    chosen: list[int] = []
    for true, predicted, _ in most_confused(matrix, CLASSES_SELECTED**2):
        chosen += [index for index in (true, predicted) if index not in chosen]
    drawn = np.sort(chosen[:CLASSES_SELECTED] or involved[:CLASSES_SELECTED])
    return drawn, f"{title}\n{len(drawn)} of {len(involved):,} classes, those confused most"


def _surest_example(images: np.ndarray, predictions: Predictions, index: int) -> np.ndarray | None:
    """Return the image of a class that was recognized most surely; None where none was."""
    right = np.flatnonzero(predictions.correct & (predictions.labels == index))
    return images[right[np.argmax(predictions.confidence[right])]] if len(right) else None
