"""`data`: what data sets there are, what is in them, and their splits and balanced forms as files for others."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from kuzushiji_tf.cli.actions import action_defaults
from kuzushiji_tf.cli.data_cache import CacheFlags, show_cache
from kuzushiji_tf.datasets.entries import resolve
from kuzushiji_tf.datasets.registry import (
    LoadOptions,
    dataset_entries,
    entry_of,
    is_path,
    load_dataset,
    locate,
    parts_of,
    splits_of,
)
from kuzushiji_tf.errors import UserError

SUMMARY = "summary.json"
Form = Literal["npy", "folders", "tfrecord"]
_Name = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True)
class ListFlags:
    """Show every data set, and whether its files are in --data-dir, else in KUZUSHIJI_DATA or the download cache."""

    data_dir: Path | None = None  # the folder to look in
    json: bool = False  # print the table as one JSON object, and all else to standard error


@dataclass(frozen=True, kw_only=True)
class DownloadFlags:
    """Download a data set into the cache, where it is then found by itself; every file is verified."""

    name: _Name  # a data set, as `data list` shows it
    data_dir: Path | None = None  # a folder that may have the files already; default: KUZUSHIJI_DATA


@dataclass(frozen=True, kw_only=True)
class _LoadFlags:
    """Which data set, and how it is loaded."""

    name: _Name  # a data set, several joined by +, or a folder or .npz file of your own
    data_dir: Path | None = None  # where the data set's files are; default: KUZUSHIJI_DATA, then a download
    per_class: int = 100  # images drawn for each class, for data sets drawn from strokes; a training draws 450
    skip_damaged: bool = False  # leave unreadable images out instead of stopping at the first


@dataclass(frozen=True, kw_only=True)
class InspectFlags(_LoadFlags):
    """Count, summarize and draw one split: counts per class, imbalance plot, contact sheet."""

    split: str = "train"  # train or test; all of what is your own; kkanji-low-shot also has support
    classes: str | None = None  # these only: a file, the characters, or joyo, kanji, hiragana, katakana, k49
    image_size: int | None = None  # pixels; default: the data set's own
    output: Path | None = None  # folder of the tables and pictures; default: inspection/NAME-SPLIT
    json: bool = False  # print the summary as one JSON object, and all else to standard error


@dataclass(frozen=True, kw_only=True)
class SplitFlags(_LoadFlags):
    """Write the splits as a CSV that others can reproduce: split, character, code_point, key of every image.

    The key is the SHA-256 of the image's height and width (4 bytes each, little-endian) and of its pixels, one byte
    each, row by row, ink white on black. Lines are sorted by split, character and key.
    """

    output: Path  # the file to write


@dataclass(frozen=True, kw_only=True)
class MaterializeFlags(_LoadFlags):
    """Write a set as files, balanced: of each class the originals first, then augmented copies of them.

    An interrupted run continues where it stopped when the same command is run again.
    """

    output: Path  # the folder to write
    balance: int = 0  # images of each class; 0: the images as they are
    split: str = "train"  # train or test; copies of test images make no fair test
    format: Form = "npy"  # images.npy, labels.npy and index.json; class folders of PNG files; or TFRecord shards
    classes: str | None = None  # these only: a file, the characters, or joyo, kanji, hiragana, katakana, k49
    image_size: int | None = None  # pixels; default: the data set's own
    seed: int = 0  # seed of the augmentation
    overwrite: bool = False  # replace a set that --output holds


@dataclass(frozen=True, kw_only=True)
class VerifyFlags:
    """Check that a folder of arrays (images.npy, labels.npy, index.json) is complete, and that its files agree."""

    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]  # the folder to check
    json: bool = False  # print what was found as one JSON object, and all else to standard error


DataFlags = (
    Annotated[ListFlags, tyro.conf.subcommand("list")]
    | Annotated[DownloadFlags, tyro.conf.subcommand("download")]
    | Annotated[InspectFlags, tyro.conf.subcommand("inspect")]
    | Annotated[SplitFlags, tyro.conf.subcommand("split")]
    | Annotated[MaterializeFlags, tyro.conf.subcommand("materialize")]
    | Annotated[VerifyFlags, tyro.conf.subcommand("verify")]
    | Annotated[CacheFlags, tyro.conf.subcommand("cache")]
)


def default_flags(arguments: list[str]) -> Any:
    """Return the flags' defaults, as `actions.action_defaults`.

    Raises:
        UserError: as that.
    """
    return action_defaults("data", arguments, _ACTIONS)


def run(flags: Any) -> dict[str, Any] | None:
    """Do what was asked for, and return the answer of those that have one.

    Raises:
        UserError, MissingFileError: a name, a folder or a data set's file is not as it should be.
    """
    return _ACTIONS[type(flags)](flags)


def _list(flags: ListFlags) -> dict[str, Any]:
    listed: dict[str, Any] = {}
    rows = [("name", "classes", "images", "size", "present", "where from", "licence")]
    for name, entry in dataset_entries().items():
        found = locate(name, flags.data_dir)
        present = "needs none" if found is True else "yes" if found else "no"
        unknown = "any number" if entry.size == "any" else "?"
        images = unknown if entry.images is None else f"{entry.images:,}"
        classes = "?" if entry.classes is None else f"{entry.classes:,}"
        rows.append((name, classes, images, entry.size, present, entry.where, entry.licence))
        listed[name] = {
            "description": entry.description,
            "classes": entry.classes,
            "images": entry.images,
            "size": entry.size,
            "licence": entry.licence,
            "where": entry.where,
            "splits": entry.splits,
            "present": bool(found),
            "path": None if found is True or not found else str(found),
        }
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if number in (1, 2) else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    print("\nAny of them can be joined by +, as in kmnist+kkanji; your own images are named by their path.")
    return listed


def _download(flags: DownloadFlags) -> None:
    from kuzushiji_tf.datasets.locations import cache_folder

    if is_path(flags.name):
        raise UserError(f"{flags.name} is your own: there is nothing to download.")
    for name in parts_of(flags.name):
        entry = entry_of(name)
        found = locate(name, flags.data_dir)
        if found is True:
            print(f"{name} needs no files: it is {entry.where}.")
            continue
        # What lies in the cache is verified, and fetched again if it is damaged.
        if found and not (entry.downloader and Path(found).is_relative_to(cache_folder())):
            print(f"{name} is in {found}.")
            continue
        if not entry.downloader:
            raise UserError(
                f"{name} cannot be downloaded by a program ({entry.where}): put its files into a folder and name "
                "that with --data-dir or KUZUSHIJI_DATA."
            )
        print(f"{name} is in {resolve(entry.downloader)()}.")


def _inspect(flags: InspectFlags) -> dict[str, Any]:
    from kuzushiji_tf.datasets.summaries import describe, summarize, write_classes
    from kuzushiji_tf.files import atomic_folder, write_json

    output = flags.output or Path("inspection", f"{Path(flags.name).resolve().name}-{flags.split}")
    if output.is_dir() and any(output.iterdir()) and not (output / SUMMARY).is_file():
        raise UserError(f"{output} holds files of another kind; name a new folder with --output.")
    dataset = load_dataset(flags.name, flags.split, _options(flags, flags.classes, flags.image_size))
    summary = summarize(dataset)
    from kuzushiji_tf.evaluation import contact_sheets, figures

    with atomic_folder(output) as folder:
        write_json(folder / SUMMARY, summary)
        write_classes(folder / "classes.csv", dataset)
        figures.save(contact_sheets.imbalance_plot(dataset), folder / "imbalance.png")
        figures.save(contact_sheets.contact_sheet(dataset), folder / "contact_sheet.png")
    print("\n".join(describe(summary)))
    print(f"\ntables and pictures: {output}")
    return summary


def _split(flags: SplitFlags) -> None:
    from kuzushiji_tf.datasets.summaries import shared_images, split_rows, write_split_file
    from kuzushiji_tf.files import atomic_path

    if flags.output.is_dir():
        raise UserError(f"{flags.output} is a folder; --output names the file to write, such as split.csv.")
    rows, counts = [], {}
    for split in splits_of(flags.name):
        part = split_rows(load_dataset(flags.name, split, _options(flags)))
        counts[split] = len(part)
        rows += part
    with atomic_path(flags.output) as temporary:
        digest = write_split_file(temporary, rows)
    if shared := shared_images(rows):
        print(f"note: {shared:,} images stand in more than one split, as published")
    parts = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    print(f"{flags.output}: {parts}; sha256 {digest}")


def _materialize(flags: MaterializeFlags) -> None:
    from kuzushiji_tf.batches.materializing import Balance, materialize
    from kuzushiji_tf.batches.startup import start_tensorflow

    dataset = load_dataset(flags.name, flags.split, _options(flags, flags.classes, flags.image_size))
    if is_path(flags.name):  # a name alone would not lead back to it, or to another set of that name
        dataset = replace(dataset, name=str(Path(flags.name).resolve()))
    if flags.balance > 0 or flags.format == "tfrecord":
        start_tensorflow()
    balance = Balance(flags.balance, flags.seed)
    try:
        folder = materialize(dataset, flags.output, balance, form=flags.format, overwrite=flags.overwrite)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Stopped; run the same command again to continue.") from None
    if flags.format == "tfrecord":
        print(f"{folder}: TFRecord shards, features image (PNG), label, character, original")
    elif flags.split == "train":
        print(f"{folder}: train on it with  python train.py --dataset {folder}")
        print(f"evaluate and export what it gave with  --dataset {dataset.name}  since it holds no test images")
    else:
        print(f"{folder}: evaluate on it with  python evaluate.py --dataset {folder} --split {flags.split}")


def _verify(flags: VerifyFlags) -> dict[str, Any]:
    from kuzushiji_tf.datasets.own.array_folders import verify_array_folder

    found = verify_array_folder(flags.folder)
    empty = f", {found['empty_classes']:,} of them without images" if found["empty_classes"] else ""
    print(f"{flags.folder} is sound: {found['images']:,} images of {found['height']} x {found['width']} pixels")
    print(f"{found['classes']:,} classes{empty}; content hash {found['content_hash']}")
    if origin := found["origin"]:
        balance = f"balanced to {origin['balance']:,} of each class" if origin.get("balance") else "as they are"
        print(f"made from {origin['dataset']}, {origin['split']} split, {balance}")
    return found


def _options(flags: _LoadFlags, classes: str | None = None, image_size: int | None = None) -> LoadOptions:
    return LoadOptions(
        data_dir=flags.data_dir,
        image_size=image_size,
        per_class=flags.per_class,
        classes=classes,
        skip_damaged=flags.skip_damaged,
    )


_ACTIONS: dict[type, Callable[[Any], dict[str, Any] | None]] = {
    ListFlags: _list,
    DownloadFlags: _download,
    InspectFlags: _inspect,
    SplitFlags: _split,
    MaterializeFlags: _materialize,
    VerifyFlags: _verify,
    CacheFlags: show_cache,
}
