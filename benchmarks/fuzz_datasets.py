"""The parsers of data sets that `fuzz.py` attacks: each with what makes its inputs and what reads them."""

import gzip
import json
import lzma
import tarfile
import zipfile
from functools import partial
from pathlib import Path
from random import Random
from unittest import mock

import numpy as np
from fuzz_files import NPY_TOKENS, STROKES, Files, Parser, arrays, checked_again, inside, npy, picture, tarred, zipped
from fuzz_mutations import LABEL_TOKENS, mutated, mutated_json

SVG_TOKENS = tuple(b"M m L c C S Q T H z 1e999 - . ,".split())


def npz() -> Parser:
    """Arrays of an archive: `datasets/arrays.py`."""
    from kuzushiji_tf.datasets.arrays import read_npz_array, read_npz_arrays

    members = {f"{name}.npy": npy(array) for name, array in arrays().items()}

    def make(random: Random) -> Files:
        method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        return {"arrays.npz": inside(members, partial(zipped, method=method), random, NPY_TOKENS)}

    def read(folder: Path) -> None:
        path = folder / "arrays.npz"
        read_npz_arrays(path, {"images": ("uint8", (3, 4)), "labels": ("text", (1,))}, {"writers": ("any", (1,))})
        read_npz_array(path, shape=(4, 8, 8), dtype=np.uint8, member="images")

    return Parser(make, read)


def own_npz() -> Parser:
    """Files such as `hands/*.npz`, as a data set: `datasets/own/npz_files.py`."""
    from kuzushiji_tf.datasets.own.npz_files import load_npz
    from kuzushiji_tf.datasets.registry import LoadOptions

    members = {f"{name}.npy": npy(array) for name, array in arrays().items()}

    def make(random: Random) -> Files:
        return {"hands.npz": inside(members, zipped, random, NPY_TOKENS)}

    return Parser(make, lambda folder: load_npz(folder / "hands.npz", "all", LoadOptions()))


def idx() -> Parser:
    """Kuzushiji-MNIST's own format: `datasets/arrays.py`."""
    from kuzushiji_tf.datasets.arrays import read_idx

    content = bytes([0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 8]) + bytes(range(256))

    def make(random: Random) -> Files:
        if random.random() < 0.3:
            return {"images.gz": mutated(gzip.compress(content, mtime=0), random)}
        if random.random() < 0.5:
            return {"images.gz": gzip.compress(mutated(content, random), 1, mtime=0)}
        return {"images": mutated(content, random)}

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        read_idx(path, (4, 8, 8))

    return Parser(make, read)


def array_folder() -> Parser:
    """Folders of arrays: `datasets/own/array_folders.py` and `origins.py`."""
    from kuzushiji_tf.datasets.own.array_folders import read_array_folder, verify_array_folder

    origin = {"dataset": "kana", "split": "train", "licence": "a", "credit": "b", "ink": "pen", "image_size": 8}
    index = {"codepoint_to_id": {"あ (U+3042)": 0, "い (U+3044)": 1}}
    files = {
        "images.npy": npy(arrays()["images"]),
        "labels.npy": npy(np.array([0, 1, 0, 1], np.int32)),
        "originals.npy": npy(np.array([0, 1, 2, 3], np.int32)),
    }

    def make(random: Random) -> Files:
        made = {**files, "index.json": json.dumps(index).encode(), "origin.json": json.dumps(origin).encode()}
        name = random.choice(list(made))
        values = {"index.json": index, "origin.json": origin}
        made[name] = (
            mutated_json(values[name], random) if name in values else mutated(made[name], random, tokens=NPY_TOKENS)
        )
        return made

    def read(folder: Path) -> None:
        verify_array_folder(folder)
        read_array_folder(folder, "train")

    return Parser(make, read)


def tar() -> Parser:
    """Tar archives, plain and compressed: `datasets/archives.py`."""
    from kuzushiji_tf.datasets.archives import read_members

    members = {f"kkanji2/U+{0x3042 + number:04X}/{'n' * 30 * number}.png": bytes(700) for number in range(4)}
    plain = [tarred(members, form) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)]
    headers = [content[place : place + 512] for content in plain for place in range(0, len(content), 512)]

    def make(random: Random) -> Files:
        content = random.choice(plain)
        if random.random() < 0.8:
            content = checked_again(mutated(content, random, headers, (b"L", b"K", b"x", b"g", b"S", b"2", b"size=")))
        if random.random() < 0.3:
            content = random.choice(
                (partial(gzip.compress, compresslevel=1, mtime=0), partial(lzma.compress, preset=0))
            )(content)
            content = mutated(content, random) if random.random() < 0.5 else content
        return {"a.tar": content}

    return Parser(make, lambda folder: [len(data) for _, data in read_members(folder / "a.tar")])


def kkanji() -> Parser:
    """The pictures of Kuzushiji-Kanji: `datasets/kkanji.py`."""
    from kuzushiji_tf.datasets import kkanji as module

    image = picture("PNG", (64, 64))

    def make(random: Random) -> Files:
        name = mutated(b"kkanji2/U+3042/1.png", random, tokens=LABEL_TOKENS).decode("utf-8", "replace")[:90] or "x"
        named = random.choice(("kkanji2/U+3042/1.png", name))
        archive = tarred({named: mutated(image, random), "kkanji2/U+3044/1.png": image})
        return {"kkanji.tar": archive + bytes(random.randrange(2))}

    def read(folder: Path) -> None:
        source = folder / "kkanji.tar"
        with mock.patch.object(module, "PUBLISHED_IMAGES", 2):
            module._decode(source, folder, skip_damaged=source.stat().st_size % 1024 == 0)

    return Parser(make, read)


def etl() -> Parser:
    """Records of the ETL Character Database, in files and in archives: `datasets/etl/`."""
    from kuzushiji_tf.datasets.etl.sets import SETS, read_batches

    names = {"etl1": "ETL1C_01", "etl2": "ETL2_1", "etl4": "ETL4C", "etl8b": "ETL8B2C1", "etl8g": "ETL8G_01"}

    def make(random: Random) -> Files:
        name = random.choice(list(names))
        size = SETS[name].format.fields.itemsize
        content = mutated(random.randbytes(32) + bytes(size - 32) + random.choice((b"\1", b"\x30")) * size, random)
        if random.random() < 0.5:
            return {names[name]: content}
        return {f"{name}.zip": inside({f"a/{names[name]}": content}, zipped, random, (b"_9", b"PK\1\2", b"\x0e\0"))}

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        name = path.stem if path.suffix else next(name for name, file in names.items() if file == path.name)
        source = path if path.suffix else folder
        for batch in read_batches(name, source, 16, skip_damaged=path.stat().st_size % 2 == 0):
            len(batch.images)

    return Parser(make, read)


def svg() -> Parser:
    """Stroke data: `datasets/kanjivg.py`."""
    from kuzushiji_tf.datasets import kanjivg

    files = [kanjivg.file_of(character).read_bytes() for character in "一永あ"]
    paths = [b"M31.01,33c0.88,0.88,1.27,2.31,1.39,4.13C33.75,56,33,80,34,90", b"M 10 20 L 30 40 H 5 v 7 S 1 2 3 4"]

    def make(random: Random) -> Files:
        if random.random() < 0.8:
            return {"path": mutated(random.choice(paths), random, paths, SVG_TOKENS)}
        return {"kanji.svg": mutated(random.choice(files), random, files, (b"<path d='", b"/>", b"<!ENTITY", b"&a;"))}

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        if path.suffix:
            kanjivg._read(path)
        else:
            kanjivg.path_to_stroke(path.read_text(encoding="utf-8", errors="replace"))

    return Parser(make, read)


def tomoe() -> Parser:
    """Drawings, one a line: `datasets/tomoe.py`."""
    from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes

    drawing = {"char": "あ", "strokes": STROKES, "writer": "someone"}
    line = json.dumps(drawing).encode() + b"\n"

    def make(random: Random) -> Files:
        if random.random() < 0.2:
            return {"tomoe.jsonl.gz": mutated(gzip.compress(line * 3, 1, mtime=0), random)}
        return {"tomoe.jsonl.gz": gzip.compress(line + mutated_json(drawing, random) + b"\n" + line, 1, mtime=0)}

    return Parser(make, load_tomoe_strokes)
