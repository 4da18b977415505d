"""Pictures of a data set: how uneven its classes are, and what their images look like."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.summaries import class_counts
from kuzushiji_tf.evaluation.figures import BLUE, FONTS, GRAY, ORANGE, Sheet, new_figure, shown

CLASSES_SHOWN = 96
EXAMPLES = 6  # of each class
MOST_CLASSES_NAMED = 80  # below a bar each
NAMED = 10  # of the largest, and of the smallest classes, where there are more


def imbalance_plot(dataset: CharacterDataset) -> Figure:
    """Draw the images of each class, the largest class first, with the quartiles; the axis is logarithmic."""
    counts = class_counts(dataset)
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    figure = new_figure(1300, 560)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    of = f"{len(order):,} of its {len(counts):,}" if len(order) < len(counts) else f"{len(counts):,}"
    heading = [f"{dataset.name}, {dataset.split} split: {len(dataset):,} images of {of} classes"]
    if len(order) > MOST_CLASSES_NAMED:
        pairs = [f"{shown(dataset.classes[index])} {counts[index]:,}" for index in order]
        heading += [f"largest:  {'   '.join(pairs[:NAMED])}", f"smallest:  {'   '.join(pairs[-NAMED:])}"]
    axes.set_title("\n".join(heading), loc="left", fontfamily=FONTS, linespacing=1.6)
    axes.set(yscale="log", ylabel="images of the class")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if not len(order):
        return figure
    axes.set_ylim(min(0.7, 0.7 * counts[order[-1]]), 1.6 * counts[order[0]])
    if len(order) <= MOST_CLASSES_NAMED:
        _draw_bars(axes, counts[order], [shown(dataset.classes[index]) for index in order])
    else:
        _draw_curve(axes, counts[order])
    return figure


def contact_sheet(dataset: CharacterDataset) -> Figure:
    """Draw examples of up to 96 classes, spread evenly from the most frequent to the rarest, each with its count.

    The examples of a class are spread evenly over its images in the data set's order.
    """
    tile, gap, label, columns = 52, 4, 118, 4
    counts = class_counts(dataset)
    order = np.argsort(-counts, kind="stable")
    order = order[counts[order] > 0]
    chosen = order[np.unique(np.linspace(0, max(len(order) - 1, 0), CLASSES_SHOWN).round().astype(int))[: len(order)]]
    columns = min(columns, max(1, -(-len(chosen) // 8)))
    height, width = dataset.image_size
    tile_width = tile * width / height
    cell = label + EXAMPLES * (tile_width + gap) + 28
    sheet = Sheet(round(max(columns * cell, 740)) + 16, 64 + -(-max(len(chosen), 1) // columns) * (tile + 10) + 8)
    sheet.text(16, 20, f"{dataset.name}, {dataset.split} split", 16, ha="left")
    of = f"{len(chosen):,} of {len(order):,} classes, evenly from" if len(chosen) < len(order) else "classes from"
    remark = f"{of} the most frequent to the rarest, row by row; under each code point the number of images"
    sheet.text(16, 44, remark, 10, ha="left", color=GRAY)
    by_class = np.split(np.argsort(dataset.labels, kind="stable"), np.cumsum(counts)[:-1])
    for number, index in enumerate(chosen):
        x = 16 + number % columns * cell
        y = 64 + number // columns * (tile + 10)
        name = shown(dataset.classes[index])
        if len(name) > 2:  # a code point, for lack of a glyph
            name = name.replace(" ", "\n").replace("U+", "U+\n", 1)
        sheet.text(x + 22, y + tile / 2, name, (26, 15, 9)[min(len(name), 3) - 1])
        code_point = dataset.classes.code_point(index).replace(" ", "\n")
        sheet.text(x + label - 8, y + tile / 2 - 9, code_point, 8, ha="right", color=GRAY)
        sheet.text(x + label - 8, y + tile / 2 + 9, f"{counts[index]:,}", 10, ha="right")
        sheet.image(_strip(dataset.images, by_class[index], gap * height / tile), x + label, y, tile)
    return sheet.figure


def _strip(images: np.ndarray, rows: np.ndarray, gap: float) -> np.ndarray:
    """Return examples side by side on white, uint8 `[height, width of all]`."""
    rows = np.sort(rows[np.unique(np.linspace(0, len(rows) - 1, EXAMPLES).round().astype(int))])
    _, height, width = images.shape
    gap = max(1, round(gap))
    strip = np.full((height, EXAMPLES * (width + gap) - gap), 255, np.uint8)
    for number, row in enumerate(rows):
        strip[:, number * (width + gap) : number * (width + gap) + width] = images[row]
    return strip


def _draw_bars(axes: Axes, counts: np.ndarray, names: list[str]) -> None:
    axes.bar(range(len(counts)), counts, color=BLUE)
    axes.set_xticks(range(len(counts)), names, fontfamily=FONTS, fontsize=float(np.clip(780 / len(counts), 9, 18)))
    for tick in axes.get_xticklabels():
        tick.set_rotation(90 if len(tick.get_text()) > 1 else 0)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.7, len(counts) - 0.3)
    quartiles = np.percentile(counts, (75, 50, 25))
    for share, value, style in zip(("a quarter", "half", "three quarters"), quartiles, (":", "--", "-."), strict=True):
        label = f"{share} of the classes have {value:,.0f} or more"
        axes.axhline(value, color=ORANGE, linewidth=1.5, linestyle=style, label=label)
    axes.figure.legend(frameon=False, loc="outside lower center", ncols=3)


def _draw_curve(axes: Axes, counts: np.ndarray) -> None:
    axes.step(np.arange(len(counts)) + 1, counts, where="mid", color=BLUE, linewidth=2)
    axes.set_xlabel("classes, the largest first")
    axes.set_xlim(1 - 0.01 * len(counts), 1.01 * len(counts))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    for share, part in (("a quarter", 0.25), ("half", 0.5), ("three quarters", 0.75)):
        rank = round(part * (len(counts) - 1))
        axes.plot((rank + 1, rank + 1), (axes.get_ylim()[0], counts[rank]), "--", color=ORANGE, linewidth=1)
        axes.plot(rank + 1, counts[rank], "o", color=ORANGE)
        note = f"{share} of the classes\nhave {counts[rank]:,} or more"
        axes.annotate(note, (rank + 1, counts[rank]), (8, 8), textcoords="offset points", color=ORANGE, va="bottom")
