"""The ETL Character Database: read from the user's own files, whichever way they lie there."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.datasets.drawn.kana import draw_characters
from kuzushiji_tf.datasets.etl import files as etl_files
from kuzushiji_tf.datasets.etl import loaders
from kuzushiji_tf.datasets.etl.sets import SETS, read_batches
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from tests import etl_records
from tests.etl_records import levels_of, printed_record, record, word_record, write_folder, write_zip

KANJI = "亜愛水"  # JIS X 0208, level 1
WRITERS = 8
LOADERS = {name: getattr(loaders, f"load_{name}") for name in SETS}


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KUZUSHIJI_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUZUSHIJI_DATA", raising=False)


@pytest.fixture(scope="module")
def drawn():
    """Drawn characters, 64 pixels square: of each, one for each writer."""
    characters = "".join(dict.fromkeys(KANJI + "あかアカ"))
    images = draw_characters(characters, WRITERS, (0, 0), 64)
    return {character: images[index * WRITERS :][:WRITERS] for index, character in enumerate(characters)}


def jis(character: str) -> int:
    return int.from_bytes(character.encode("iso2022_jp")[3:5], "big")


def half_width(character: str) -> int:
    return {"ア": 0xB1, "カ": 0xB6}[character]


def enlarged(image: np.ndarray) -> np.ndarray:
    return image.repeat(2, axis=0).repeat(2, axis=1)


def g_files(drawn, kind: str = "8G", characters: str = KANJI) -> dict[str, list[bytes]]:
    """Return one file of type G for each writer, as the data sets have writers in files of their own."""
    return {
        f"ETL{kind}_{writer + 1:02d}": [
            record(kind, levels_of(enlarged(drawn[character][writer]), kind), sheet=1, code=jis(character))
            for character in characters
        ]
        for writer in range(WRITERS)
    }


def m_files(drawn, name: str, characters: str) -> dict[str, list[bytes]]:
    """Return a file of type M: all writers of a character, then of the next."""
    return {
        name: [
            record("M", levels_of(drawn[character][writer], "M"), sheet=1001 + writer, code=half_width(character))
            for character in characters
            for writer in range(WRITERS)
        ]
    }


def b_files(drawn, name: str, kind: str, sheets: int) -> dict[str, list[bytes]]:
    """Return a file of type B: a dummy, then all writers of a character, then of the next."""
    dummy = bytes(etl_records.LENGTHS[kind])
    records = [
        record(kind, levels_of(drawn[character][writer], kind), sheet=1 + sheets * writer, code=jis(character))
        for character in KANJI
        for writer in range(WRITERS)
    ]
    return {name: [dummy, *records]}


def both(name: str, folder: Path, **options) -> list:
    return [LOADERS[name](split, LoadOptions(data_dir=folder, **options)) for split in ("train", "test")]


def as_table(datasets) -> dict[tuple[str, int], np.ndarray]:
    """Return the images of both splits by character and group."""
    return {
        (dataset.classes[label], group): image
        for dataset in datasets
        for image, label, group in zip(dataset.images, dataset.labels, dataset.groups, strict=True)
    }


def expected(drawn, characters: str, kind: str, of=lambda image: image, scale: int = 17) -> dict:
    images = {}
    for character in characters:
        for writer in range(WRITERS):
            levels = levels_of(of(drawn[character][writer]), kind) * scale
            images[character, writer] = np.pad(levels, ((0, 1), (0, 0))).astype(np.uint8)
    return images


def assert_same(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys()
    for key, image in wanted.items():
        np.testing.assert_array_equal(found[key], image, str(key))


def test_etl8g_gives_each_writers_characters_with_their_pixels(drawn, tmp_path):
    write_folder(tmp_path / "ETL8G", g_files(drawn))
    train, test = both("etl8g", tmp_path, image_size=128)
    found = as_table((train, test))
    wanted = expected(drawn, KANJI, "8G", enlarged)
    assert_same(found, {(character, writer * 5): image for (character, writer), image in wanted.items()})
    assert train.classes.characters == tuple(sorted(KANJI)) == test.classes.characters
    assert train.images.dtype == np.uint8 and train.groups.dtype == train.labels.dtype == np.int32
    assert "redistributed" in train.licence and "Electrotechnical Laboratory" in train.credit


def test_etl9g_has_its_pixels_four_bytes_further(drawn, tmp_path):
    write_folder(tmp_path / "ETL9G", g_files(drawn, "9G"))
    found = as_table(both("etl9g", tmp_path, image_size=128))
    wanted = expected(drawn, KANJI, "9G", enlarged)
    assert_same(found, {(character, writer * 4): image for (character, writer), image in wanted.items()})


@pytest.mark.parametrize(
    ("name", "kind", "file", "sheets"), [("etl8b", "8B", "ETL8B2C1", 10), ("etl9b", "9B", "ETL9B_1", 20)]
)
def test_b_type_skips_the_dummy_and_gives_two_levels(drawn, tmp_path, name, kind, file, sheets):
    write_folder(tmp_path / SETS[name].folder, b_files(drawn, file, kind, sheets))
    assert_same(as_table(both(name, tmp_path)), expected(drawn, KANJI, kind, scale=255))


@pytest.mark.parametrize(("name", "file"), [("etl1", "ETL1C_07"), ("etl6", "ETL6C_01")])
def test_m_type_gives_katakana_of_each_sheet(drawn, tmp_path, name, file):
    write_folder(tmp_path / SETS[name].folder, m_files(drawn, file, "アカ"))
    found = as_table(both(name, tmp_path))
    wanted = expected(drawn, "アカ", "M")
    assert_same(found, {(character, writer + 1001): image for (character, writer), image in wanted.items()})


def test_etl7_gives_hiragana_and_keeps_a_persons_sheets_together(drawn, tmp_path):
    files = {}
    for name, offset in (("ETL7LC_1", 1), ("ETL7SC_1", 501)):
        files[name] = [
            record(
                "M",
                np.roll(levels_of(drawn[hiragana][writer], "M"), offset % 3, axis=1),
                sheet=writer + offset,
                code=half_width(katakana),
                sex=1 + writer % 2,
                age=20 + writer,
                industry=9144,
                occupation=11,
                gathered=7708,
            )
            for hiragana, katakana in zip("あか", "アカ", strict=True)
            for writer in range(WRITERS)
        ]
    write_folder(tmp_path / "ETL7", files)
    train, test = both("etl7", tmp_path)
    assert train.classes.characters == ("あ", "か")
    groups = np.concatenate([train.groups, test.groups])
    assert sorted(np.bincount(groups)) == [4] * WRITERS  # two characters on two sheets
    assert len(test) and not set(train.groups) & set(test.groups)


def test_etl7_without_facts_about_the_writers_groups_by_sheet(drawn, tmp_path):
    write_folder(tmp_path / "ETL7", m_files(drawn, "ETL7LC_1", "アカ"))
    assert {group for _, group in as_table(both("etl7", tmp_path))} == set(range(1001, 1001 + WRITERS))


def test_etl2_gives_printed_characters_by_their_newspaper_code(drawn, tmp_path):
    codes = {"水": (8, 16), "愛": (21, 9)}
    files = {
        "ETL2_1": [
            printed_record(levels_of(drawn[character][index], "K"), codes[character], serial=index + 1)
            for character in codes
            for index in range(WRITERS)
        ]
    }
    write_folder(tmp_path / "ETL2", files)
    train, test = both("etl2", tmp_path, image_size=60)
    assert train.groups is None and len(train) + len(test) == 2 * WRITERS and len(test) == 2
    found = {
        (dataset.classes[label], image.tobytes())
        for dataset in (train, test)
        for image, label in zip(dataset.images, dataset.labels, strict=True)
    }
    for character in codes:
        for index in range(WRITERS):
            image = np.rint(levels_of(drawn[character][index], "K") * (255 / 63)).astype(np.uint8)
            assert (character, image.tobytes()) in found


def c_records(drawn, characters: str) -> list[bytes]:
    """Return records of type C: each writer filled two sheets, and says the same on both."""
    return [
        word_record(
            levels_of(drawn[character][writer], "C"),
            sheet=2 * writer + sheet,
            code=half_width(chr(ord(character) + 0x60) if character < "ァ" else character),
            age=20 + writer,
            sex=1,
        )
        for sheet, character in enumerate(characters)
        for writer in range(WRITERS)
    ]


@pytest.mark.parametrize(
    ("name", "files", "characters"),
    [("etl3", ("ETL3C_1", "ETL3C_2"), "アカ"), ("etl4", ("ETL4C",), "あか"), ("etl5", ("ETL5C",), "アカ")],
)
def test_c_type_gives_characters_and_keeps_a_persons_sheets_together(drawn, tmp_path, name, files, characters):
    records = c_records(drawn, characters)
    cuts = np.array_split(np.arange(len(records)), len(files))
    write_folder(
        tmp_path / name.upper(), {file: [records[row] for row in cut] for file, cut in zip(files, cuts, strict=True)}
    )
    train, test = both(name, tmp_path, image_size=76)
    found = {}
    for dataset in (train, test):
        for image, label, group in zip(dataset.images, dataset.labels, dataset.groups, strict=True):
            found.setdefault(group, {})[dataset.classes[label]] = image
    assert len(found) == WRITERS and set(train.groups).isdisjoint(test.groups)
    by_writer = {group: writer for writer, group in enumerate(sorted(found))}
    for group, images in found.items():
        for character in characters:
            levels = levels_of(drawn[character][by_writer[group]], "C") * 17
            np.testing.assert_array_equal(images[character], np.pad(levels, ((0, 0), (0, 4))))


def test_c_type_without_facts_about_the_writers_groups_by_sheet(drawn, tmp_path):
    sheets = [7, 2**20 + 3]
    records = [word_record(levels_of(drawn["ア"][0], "C") // (1 + n), sheet=s, code=0xB1) for n, s in enumerate(sheets)]
    write_folder(
        tmp_path / "ETL5", {"ETL5C": [*records, word_record(levels_of(drawn["カ"][0], "C"), sheet=7, code=0xB6)]}
    )
    assert {group for dataset in both("etl5", tmp_path) for group in dataset.groups} <= set(sheets)


def test_an_archive_packed_on_windows_is_read(drawn, tmp_path):
    archive = write_zip(tmp_path / "ETL8G.zip", g_files(drawn))
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"ETL8G/ETL8G", b"ETL8G\\ETL8G"))
    unpacked = tmp_path / "unpacked"
    write_folder(unpacked / "ETL8G", g_files(drawn))
    assert_same(as_table(both("etl8g", tmp_path)), as_table(both("etl8g", unpacked)))


def test_images_are_64_pixels_unless_another_size_is_asked_for(drawn, tmp_path):
    write_folder(tmp_path / "ETL8G", g_files(drawn))
    whole, default, small = (both("etl8g", tmp_path, image_size=size)[0] for size in (128, None, 32))
    np.testing.assert_array_equal(default.images, whole.resized(64).images)
    np.testing.assert_array_equal(small.images, whole.resized(32).images)


def test_whole_writers_are_held_out(drawn, tmp_path):
    write_folder(tmp_path / "ETL8G", g_files(drawn))
    train, test = both("etl8g", tmp_path)
    assert len(test) == len(KANJI) and len(set(test.groups)) == 1
    assert not set(train.groups) & set(test.groups)


@pytest.mark.parametrize(
    "place", ["ETL8G/{}", "etl/ETL8G/{}", "{}", "etl/{}", "ETL8G/ETL8G/{}", "ETL8G.zip", "etl/ETL8G.zip"]
)
def test_files_are_found_in_folders_and_archives(drawn, tmp_path, monkeypatch, place):
    root = tmp_path / "data"
    if place.endswith(".zip"):
        write_zip(root / place, g_files(drawn))
    else:
        write_folder((root / place).parent, g_files(drawn))
    monkeypatch.setenv("KUZUSHIJI_DATA", str(root))
    assert (
        loaders.find_etl8g(None) is not None
        and loaders.find_etl8g(root) is not None
        and loaders.find_etl9g(root) is None
    )
    assert len(LOADERS["etl8g"]("train", LoadOptions())) == len(KANJI) * (WRITERS - 1)


def test_an_archive_is_read_without_writing_what_it_holds(drawn, tmp_path):
    write_zip(tmp_path / "data/ETL8G.zip", g_files(drawn))
    write_folder(tmp_path / "folder", g_files(drawn))
    from_archive, from_folder = both("etl8g", tmp_path / "data"), both("etl8g", tmp_path / "folder")
    assert [dataset.content_hash for dataset in from_archive] == [dataset.content_hash for dataset in from_folder]
    written = {path.name for path in tmp_path.rglob("*") if path.is_file() and "folder" not in path.parts}
    assert written - {name for name in written if name.endswith(".lock")} == {
        "ETL8G.zip",
        "etl8g.npz",
        "left_out.json",
        "identity.json",
    }


def test_the_cache_is_one_file_that_plain_numpy_reads(drawn, tmp_path):
    write_folder(tmp_path / "ETL8G", g_files(drawn))
    train, test = both("etl8g", tmp_path)
    (path,) = (tmp_path / "cache").rglob("etl8g.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert set(arrays) == {"images", "labels", "groups", "characters", "is_test"}
        np.testing.assert_array_equal(arrays["images"], np.concatenate([train.images, test.images]))
        np.testing.assert_array_equal(arrays["labels"], np.concatenate([train.labels, test.labels]))
        assert arrays["images"].dtype == np.uint8 and arrays["labels"].dtype == arrays["groups"].dtype == np.int32
        assert "".join(arrays["characters"]) == "".join(sorted(KANJI))
        assert arrays["is_test"].sum() == len(test)


def test_the_second_use_decodes_nothing_and_stays_on_disk(drawn, tmp_path, monkeypatch):
    write_folder(tmp_path / "ETL8G", g_files(drawn))
    first = both("etl8g", tmp_path)
    monkeypatch.setattr(loaders, "read_batches", None)
    again = both("etl8g", tmp_path)
    assert [dataset.content_hash for dataset in first] == [dataset.content_hash for dataset in again]
    assert all(isinstance(dataset.images, np.memmap) for dataset in again)


def test_changed_files_are_decoded_again(drawn, tmp_path):
    files = g_files(drawn)
    write_folder(tmp_path / "ETL8G", files)
    before = both("etl8g", tmp_path)
    write_folder(tmp_path / "ETL8G", {"ETL8G_20": files.pop("ETL8G_01")[:2]})
    (tmp_path / "ETL8G/ETL8G_01").unlink()
    assert sum(map(len, both("etl8g", tmp_path))) == sum(map(len, before)) - 1


def test_records_without_a_character_blanks_repeats_and_models_are_left_out_and_counted(drawn, tmp_path):
    files = m_files(drawn, "ETL1C_07", "アカ")
    blank = record("M", np.zeros((63, 64), int), sheet=1001, code=0xB2)
    levels = [levels_of(drawn["あ"][writer], "M") for writer in range(2)]
    extra = [record("M", levels[0], sheet=1, code=0x20), record("M", levels[1], sheet=1, code=0x00)]
    write_folder(tmp_path / "ETL1", {**files, "ETL1C_08": [blank, *extra, files["ETL1C_07"][3]]})
    train, test = both("etl1", tmp_path)
    assert len(train) + len(test) == 2 * WRITERS and train.classes.characters == ("ア", "カ")
    assert train.left_out == {"without a character": 2, "blank": 1, "repeated": 1}


def test_etl8gs_file_of_models_is_left_out(drawn, tmp_path):
    files = g_files(drawn)
    write_folder(tmp_path / "ETL8G", files | {"ETL8G_33": g_files(drawn, characters="あか")["ETL8G_01"]})
    train, test = both("etl8g", tmp_path)
    assert set(train.classes) == set(KANJI) and len(train) + len(test) == len(KANJI) * WRITERS


def test_models_that_follow_the_samples_of_a_file_are_left_out(drawn, tmp_path):
    (content,) = b_files(drawn, "ETL9B_5", "9B", 20).values()
    write_folder(tmp_path, {"ETL9B_5": content})
    whole = SETS["etl9b"]
    sixteen = type(whole)(**{**vars(whole), "samples": {5: 16}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SETS, "etl9b", sixteen)
        patch.setattr(etl_files, "BATCH_BYTES", 5 * 576)  # so that the end of the samples falls within a batch
        batches = list(read_batches("etl9b", tmp_path, 64))
    assert sum(len(batch.images) for batch in batches) == 16
    assert sum(batch.left_out["models for the writers"] for batch in batches) == 8
    assert "".join(np.concatenate([batch.characters for batch in batches])) == KANJI[0] * 8 + KANJI[1] * 8


def test_batches_do_not_change_what_is_read(drawn, tmp_path, monkeypatch):
    write_folder(tmp_path, b_files(drawn, "ETL8B2C1", "8B", 10) | g_files(drawn))
    for name in ("etl8b", "etl8g"):
        (whole,) = [join(read_batches(name, tmp_path, 64))]
        monkeypatch.setattr(etl_files, "BATCH_BYTES", 1)
        for one, other in zip(whole, join(read_batches(name, tmp_path, 64)), strict=True):
            np.testing.assert_array_equal(one, other)
        monkeypatch.undo()


def join(batches) -> list[np.ndarray]:
    batches = list(batches)
    return [np.concatenate([getattr(batch, part) for batch in batches]) for part in ("images", "characters", "writers")]


def test_missing_files_are_answered_with_where_to_register_and_to_put_them(tmp_path):
    with pytest.raises(MissingFileError, match=r"ETL8G\.zip in .*register .*AIST.*never downloaded") as error:
        LOADERS["etl8g"]("train", LoadOptions(data_dir=tmp_path))
    assert "http" not in str(error.value)
    with pytest.raises(MissingFileError, match="KUZUSHIJI_DATA"):
        LOADERS["etl1"]("train", LoadOptions())


def refused(folder: Path, name: str = "etl8g") -> str:
    """Return the sentence that a data set is refused with."""
    with pytest.raises(UserError) as error:
        LOADERS[name]("train", LoadOptions(data_dir=folder))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_short_last_record_is_named(drawn, tmp_path):
    files = g_files(drawn)
    files["ETL8G_02"][-1] = files["ETL8G_02"][-1][:100]
    write_folder(tmp_path / "ETL8G", files)
    sentence = refused(tmp_path)
    assert all(fact in sentence for fact in ("ETL8G_02", "record 3", "100 of its 8,199 bytes"))
    train, test = both("etl8g", tmp_path, skip_damaged=True)
    assert len(train) + len(test) == len(KANJI) * WRITERS - 1


@pytest.mark.parametrize(
    ("name", "make", "number"),
    [
        ("etl8g", lambda drawn: {"ETL8G_01": [record("8G", levels_of(drawn["水"][0], "8G"), sheet=1, code=0x7F7F)]}, 1),
        (
            "etl8b",
            lambda drawn: {
                "ETL8B2C1": [bytes(512), record("8B", levels_of(drawn["水"][0], "8B"), sheet=1, code=0x2F7F)]
            },
            2,
        ),
        ("etl1", lambda drawn: {"ETL1C_01": [record("M", levels_of(drawn["水"][0], "M"), sheet=1, code=0xE5)]}, 1),
        ("etl2", lambda drawn: {"ETL2_1": [printed_record(levels_of(drawn["水"][0], "K"), (3, 4))]}, 1),
    ],
)
def test_an_unknown_code_is_named_with_file_and_record(drawn, tmp_path, name, make, number):
    files = make(drawn)
    write_folder(tmp_path, files)
    sentence = refused(tmp_path, name)
    assert f"ecord {number} of {tmp_path / next(iter(files))}" in sentence and "0x" in sentence
    assert "--skip-damaged" in sentence


def test_records_of_unknown_codes_are_left_out_on_request(drawn, tmp_path):
    files = m_files(drawn, "ETL1C_07", "アカ")
    files["ETL1C_07"].insert(5, record("M", levels_of(drawn["あ"][0], "M"), sheet=1, code=0x85))
    write_folder(tmp_path, files)
    assert "Record 6 of" in refused(tmp_path, "etl1")
    assert sum(map(len, both("etl1", tmp_path, skip_damaged=True))) == 2 * WRITERS


def test_more_records_than_published_are_refused(drawn, tmp_path):
    with open(tmp_path / "ETL8G_01", "wb") as stream:
        stream.truncate(8199 * 4781)
    assert "4,781 records" in refused(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "ETL8G_01").touch()
    assert "0 records" in refused(tmp_path)


def test_files_without_any_ink_are_refused(tmp_path):
    write_folder(tmp_path, {"ETL8G_01": [record("8G", np.zeros((127, 128), int), sheet=1, code=0x3021)]})
    assert "ETL8G" in refused(tmp_path)


def test_a_text_file_named_zip_is_refused(tmp_path):
    (tmp_path / "ETL8G.zip").write_text("register first")
    assert "ETL8G.zip" in refused(tmp_path)


def test_an_archive_of_something_else_is_refused(drawn, tmp_path):
    write_zip(tmp_path / "ETL8G.zip", {"ETL9G_01": g_files(drawn, "9G")["ETL9G_01"]})
    assert "named ETL8G..." in refused(tmp_path)


def test_a_cut_archive_is_refused(drawn, tmp_path):
    path = write_zip(tmp_path / "ETL8G.zip", g_files(drawn))
    path.write_bytes(path.read_bytes()[:-200])
    assert "ETL8G.zip" in refused(tmp_path)


def test_a_damaged_member_is_named(drawn, tmp_path):
    path = write_zip(tmp_path / "ETL8G.zip", g_files(drawn))
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("ETL8G/ETL8G_03")
    content = bytearray(path.read_bytes())
    middle = entry.header_offset + 60 + entry.compress_size // 2
    content[middle : middle + 8] = bytes(8)
    path.write_bytes(content)
    assert f"ETL8G/ETL8G_03 in {path}" in refused(tmp_path)


def test_a_member_that_claims_an_absurd_size_is_refused_before_it_is_read(drawn, tmp_path):
    path = write_zip(tmp_path / "ETL8G.zip", {"ETL8G_01": g_files(drawn)["ETL8G_01"]})
    content = bytearray(path.read_bytes())
    directory = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, directory + 24, 8199 * 400_000)  # the uncompressed size in the directory
    path.write_bytes(content)
    assert "400,000 records" in refused(tmp_path)


def test_a_member_shorter_than_it_claims_is_refused(drawn, tmp_path):
    path = write_zip(tmp_path / "ETL8G.zip", {"ETL8G_01": g_files(drawn)["ETL8G_01"]})
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 8199 * 10)
    path.write_bytes(content)
    assert "ETL8G_01" in refused(tmp_path)


def test_nothing_is_kept_of_a_data_set_that_was_refused(tmp_path):
    (tmp_path / "ETL8G_01").write_bytes(bytes(8200))
    refused(tmp_path)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock" and path.is_file()]


@pytest.mark.parametrize("name", ["ETL8G_" + "9" * 5000, "ETL8G_01"])
def test_an_archive_of_an_odd_name_or_a_damaged_compression_is_refused(tmp_path, name):
    path = tmp_path / "ETL8G.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(name, np.random.default_rng(0).bytes(8199))
    content = bytearray(path.read_bytes())
    content[2000 + len(name) : 4000 + len(name)] = bytes(2000)
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        list(read_batches("etl8g", path, 16))
