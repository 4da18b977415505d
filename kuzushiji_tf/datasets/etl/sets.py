"""The data sets of the ETL Character Database: what their files hold, and how their records are decoded.

Source: the specifications and the format descriptions on the database's site (etlcdb.db.aist.go.jp).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from kuzushiji_tf.datasets.etl.codes import (
    NO_CHARACTER,
    UNDEFINED,
    co59,
    jis_x_0201,
    jis_x_0201_hiragana,
    jis_x_0208,
)
from kuzushiji_tf.datasets.etl.files import RecordFile, read_records, record_files
from kuzushiji_tf.datasets.etl.formats import (
    B_TYPE_8,
    B_TYPE_9,
    C_TYPE,
    G_TYPE_8,
    G_TYPE_9,
    K_TYPE,
    M_TYPE,
    RecordFormat,
    six_bit_characters,
    to_squares,
    words_of_36_bits,
)
from kuzushiji_tf.errors import UserError

# What a record says of its writer, in this order in every type, and the bits of it that count.
_SAID = {"sex": 2, "age": 8, "industry": 16, "occupation": 16, "gathered": 16}


@dataclass(frozen=True)
class Batch:
    """Records decoded: images uint8 `[n, size, size]`, characters `U1` `[n]`, writers int64 `[n]`.

    `left_out` counts the records that are not among them, by the reason.
    """

    images: np.ndarray
    characters: np.ndarray
    writers: np.ndarray
    left_out: dict[str, int]


@dataclass(frozen=True, eq=False)
class _Part:
    """Records of a file in a row, the first of which is sample number `first` (from 0) of it."""

    file: RecordFile
    records: np.ndarray
    first: int


def _sheet(part: _Part) -> np.ndarray:
    """Return the sheet, which one writer filled (ETL1, ETL6)."""
    return part.records["sheet"].astype(np.int64)


def _sheets(count: int, part: _Part) -> np.ndarray:
    """Return the data set of so many sheets in a row (ETL8B: 10, ETL9B: 20).

    That is one writer by the site's specification, several by its overview. Taken as one, so that no writer is on both
    sides of a split either way.
    """
    return (part.records["sheet"].astype(np.int64) - 1) // count


def _place(data_sets: int, size: int, part: _Part) -> np.ndarray:
    """Return the data set by the place in the file (ETL8G, ETL9G): ETL9G's sheet numbers begin anew in each file."""
    return (part.file.number - 1) * data_sets + (part.first + np.arange(len(part.records))) // size


def _person(part: _Part) -> np.ndarray:
    """Return who says the same of himself on the same date (ETL7).

    One writer filled several sheets, of two sizes, and no number connects them. Where nothing is filled in, the sheet.
    """
    return _same_person([part.records[name] for name in _SAID], part.records["sheet"])


def _person_of_words(part: _Part) -> np.ndarray:
    """Return the same for records in words of 36 bits (ETL3, ETL4, ETL5)."""
    words = words_of_36_bits(part.records["header"])
    return _same_person(list(words[:, 9:14].T), words[:, 1])


def _same_person(said: list[np.ndarray], sheet: np.ndarray) -> np.ndarray:
    """Return one number (int64) for all records that say the same of the writer, the sheet where they say nothing."""
    person = np.zeros(len(sheet), np.int64)
    for values, bits in zip(said, _SAID.values(), strict=True):
        person = person << bits | values & ((1 << bits) - 1)
    return np.where(person, person + 0x10000, sheet)


def _style(part: _Part) -> np.ndarray:
    """Return the mark of the printed style, 0 to 3 for A to D (ETL2, which nobody wrote)."""
    return six_bit_characters(part.records["header"][:, 3:6])[:, 2].astype(np.int64) - 17  # A is 17 in T56


@dataclass(frozen=True)
class EtlSet:
    """One data set.

    Attributes:
        folder: its name as published.
        pattern: of its files' names, whole.
        format: of its records.
        characters: returns the table from code to character.
        writers: returns a number for the writer of each record, int64 `[n]`.
        largest: records of the largest file.
        dummies: records before the first sample of each file.
        samples: how many records of a file, by its number, are samples; models for the writers follow them.
        by_writer: whether whole writers are held out for testing.
    """

    folder: str
    pattern: str
    format: RecordFormat
    characters: Callable[[], np.ndarray]
    writers: Callable[[_Part], np.ndarray]
    largest: int
    dummies: int = 0
    samples: dict[int, int] = field(default_factory=dict)
    by_writer: bool = True


SETS = {
    "etl1": EtlSet("ETL1", r"ETL1C[_-]\d+", M_TYPE, jis_x_0201, _sheet, 11_560),
    "etl2": EtlSet("ETL2", r"ETL2[_-]\d+", K_TYPE, co59, _style, 11_420, by_writer=False),
    "etl3": EtlSet("ETL3", r"ETL3C[_-]\d+", C_TYPE, jis_x_0201, _person_of_words, 4_800),
    "etl4": EtlSet("ETL4", r"ETL4C", C_TYPE, jis_x_0201_hiragana, _person_of_words, 6_120),
    "etl5": EtlSet("ETL5", r"ETL5C", C_TYPE, jis_x_0201, _person_of_words, 10_608),
    "etl6": EtlSet("ETL6", r"ETL6C[_-]\d+", M_TYPE, jis_x_0201, _sheet, 13_830),
    "etl7": EtlSet("ETL7", r"ETL7[LS]C[_-]\d+", M_TYPE, jis_x_0201_hiragana, _person, 9_600),
    "etl8b": EtlSet("ETL8B", r"ETL8B2[C_-]\d+", B_TYPE_8, jis_x_0208, partial(_sheets, 10), 51_517, 1, {3: 50_560}),
    "etl8g": EtlSet("ETL8G", r"ETL8G[_-]\d+", G_TYPE_8, jis_x_0208, partial(_place, 5, 956), 4_780, 0, {33: 0}),
    "etl9b": EtlSet("ETL9B", r"ETL9B[_-]\d+", B_TYPE_9, jis_x_0208, partial(_sheets, 20), 124_477, 1, {5: 121_440}),
    "etl9g": EtlSet("ETL9G", r"ETL9G[_-]\d+", G_TYPE_9, jis_x_0208, partial(_place, 4, 3036), 12_144),
}


def read_batches(name: str, source: Path, size: int, skip_damaged: bool = False) -> Iterator[Batch]:
    """Yield the samples of a data set's files in `source`, a folder or a zip archive, decoded and scaled.

    Raises:
        MissingFileError, UserError: as the loaders do.
    """
    etl_set = SETS[name]
    for file in record_files(source, etl_set.pattern):
        count = file.size // etl_set.format.fields.itemsize
        if not etl_set.dummies < count <= etl_set.largest:
            raise UserError(
                f"{file} holds {count:,} records, where a file of {etl_set.folder} has up to {etl_set.largest:,} and "
                "at least one sample; is it the right file?"
            )
        place = -etl_set.dummies
        for records in read_records(file, etl_set.format.fields, skip_damaged):
            part = _Part(file, records[max(-place, 0) :], max(place, 0))
            yield _decode(etl_set, part, size, skip_damaged)
            place += len(records)


def _decode(etl_set: EtlSet, part: _Part, size: int, skip_damaged: bool) -> Batch:
    file, count = part.file, len(part.records)
    samples = part.records[: max(etl_set.samples.get(file.number, count + part.first) - part.first, 0)]
    code = _codes(samples)
    characters = etl_set.characters()[code]
    unknown = characters == UNDEFINED
    if unknown.any() and not skip_damaged:
        place = int(np.argmax(unknown))
        number = part.first + place + etl_set.dummies + 1
        raise UserError(
            f"Record {number:,} of {file} has the code 0x{code[place]:X}, which stands for no character: the file is "
            "damaged or another one; download it again, or leave such records out with --skip-damaged."
        )
    shapes = characters == NO_CHARACTER
    kept = ~(unknown | shapes)
    left_out = {
        "models for the writers": count - len(samples),
        "without a character": int(shapes.sum()),
        "of an unknown code": int(unknown.sum()),
    }
    images = to_squares(etl_set.format.images(samples[kept]), size)
    return Batch(images, characters[kept], etl_set.writers(replace(part, records=samples))[kept], left_out)


def _codes(records: np.ndarray) -> np.ndarray:
    if "code" in (records.dtype.names or ()):
        return records["code"].astype(np.int64)
    header = six_bit_characters(records["header"]).astype(np.int64)
    return header[:, 28] << 6 | header[:, 29]  # CO-59 stands in characters 29 and 30
