"""The other parsers that `fuzz.py` attacks: of strokes, labels, recipes, cards, runs, pictures, requests; and all."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzz_datasets import array_folder, etl, idx, kkanji, npz, own_npz, svg, tar, tomoe
from fuzz_files import NPY_TOKENS, STROKES, Files, Parser, inside, npy, picture, zipped
from fuzz_mutations import LABEL_TOKENS, mutated, mutated_json, odd_value

from kuzushiji_tf.errors import UserError

ROOT = Path(__file__).parents[1]
CARD = ROOT / "saved_models" / "kana" / "model.json"
TOML_VALUES = ("true", "-1", "1e400", "nan", "''", "'あ'", "[]", "{}", "1979-05-27", "07:32:00", "9" * 5000, "[" * 3000)


def strokes() -> Parser:
    """Strokes as JSON, as `predict` and the API take them: `ink/strokes.py`."""
    from kuzushiji_tf.files import read_json
    from kuzushiji_tf.ink.normalization import draw_ink

    def make(random: Random) -> Files:
        return {"strokes.json": mutated_json(STROKES, random)}

    return Parser(make, lambda folder: draw_ink(read_json(folder / "strokes.json"), 16))


def labels() -> Parser:
    """Classes: `characters/labels.py`."""
    from kuzushiji_tf.characters.labels import Labels, from_code_point, parse_character

    names = ["あ", "が", "U+3042 U+3099", "u3042", "0x3042", "12354", "U+10FFFF"]
    index = {"codepoint_to_id": {"あ (U+3042)": 0, "い (U+3044)": 1, "か゚ (U+304B U+309A)": 2}}

    def make(random: Random) -> Files:
        form = random.randrange(3)
        if form == 0:
            return {"index.json": mutated_json(index, random)}
        text = "\n".join(names).encode() if form == 1 else random.choice(names).encode()
        return {"labels.txt" if form == 1 else "name": mutated(text, random, tokens=LABEL_TOKENS)}

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        if path.name == "name":
            text = path.read_text(encoding="utf-8", errors="surrogateescape")
            parse_character(text)
            from_code_point(text)
            return
        classes = Labels.read(path) if path.suffix == ".txt" else Labels.read_index_json(path)
        classes.write(path)
        classes.write_index_json(folder / "written.json")

    return Parser(make, read)


def recipes() -> Parser:
    """Recipes: `config/recipes.py`."""
    from kuzushiji_tf.config import load_leaderboard, load_recipe

    files = [path.read_bytes() for path in sorted((ROOT / "recipes").glob("*.toml"))]

    def make(random: Random) -> Files:
        content = random.choice(files)
        if random.random() < 0.6:
            lines = content.decode().splitlines()
            places = [place for place, line in enumerate(lines) if " = " in line]
            place = random.choice(places)
            setting = lines[place].partition(" = ")[0]
            value = random.choice((*TOML_VALUES, json.dumps(odd_value(random))))
            lines[place] = f"{setting} = {value}"
            content = "\n".join(lines).encode("utf-8", "surrogatepass")
        if random.random() < 0.5:
            content = mutated(content, random, files, (b"[a]", b"[[a]]", b"a.b.c = 1", b"'''", b'"""', b"\\u", b"= ["))
        return {"recipe.toml": content}

    def read(folder: Path) -> None:
        load_recipe(folder / "recipe.toml")
        load_leaderboard(folder / "recipe.toml")

    return Parser(make, read)


def cards() -> Parser:
    """Cards, beside the files of a recognizer and inside them: `recognition/cards.py`."""
    from kuzushiji_tf.evaluation.evaluating import origin_of
    from kuzushiji_tf.recognition.cards import model_bytes
    from kuzushiji_tf.recognition.locating import locate

    card = json.loads(CARD.read_text(encoding="utf-8"))
    members = {"labels.txt": "あ\nい\n".encode(), "model.json": json.dumps(card).encode()}

    def make(random: Random) -> Files:
        if random.random() < 0.4:
            return {"model.json": mutated_json(card, random), "model-int8.tflite": b"model", "labels.txt": b"a\n"}
        content = {**members, "model.json": mutated_json(card, random)} if random.random() < 0.5 else members
        archive = inside(content, zipped, random, (b"PK\5\6", b"PK\1\2", b"PK\6\7", b"\x0e\0", b"\x63\0"))
        return {"a.tflite": b"model" * 10 + archive}

    def read(folder: Path) -> None:
        path = folder / "a.tflite"
        if path.exists():
            model_bytes(path)
            locate(path).labels()
        else:
            locate(folder).labels()
            origin_of(folder)

    return Parser(make, read)


def work_directory() -> Parser:
    """The config.json of a run: `workdirs.py` and `config/`."""
    from kuzushiji_tf.config import TrainingConfig
    from kuzushiji_tf.workdirs import WorkDirectory, require_usable, run_folders

    config = TrainingConfig()
    data = {"name": "kmnist", "ink": "scanned", "normalization": "none", "content_hash": "0", "images": 4}
    about = {"config": config.to_dict(), "versions": {"keras": "3"}, "data": data}

    def make(random: Random) -> Files:
        return {"config.json": mutated_json(about, random), "checkpoints/epoch-1.state": b"", "labels.txt": b"a\n"}

    def read(folder: Path) -> None:
        run_folders(None, folder.parent)
        workdir = WorkDirectory(folder)
        _ = workdir.config, workdir.data, workdir.labels
        require_usable(folder, config, overwrite=False, resume=True)

    return Parser(make, read)


def checkpoints() -> Parser:
    """The state of a run, signed anew, as only who means harm would: `training/checkpoints.py`."""
    import hashlib

    import keras

    from kuzushiji_tf.training import checkpoints as module

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(), "mse")
    head = {"epoch": 3, "step": 0, "callbacks": [{"wait": 0, "best": 0.5}]}
    variables = module._variables_of(model)
    arrays = {f"{name}.npy": npy(keras.ops.convert_to_numpy(variables[name])) for name in variables}

    def make(random: Random) -> Files:
        first = mutated_json(head, random) if random.random() < 0.3 else json.dumps(head).encode()
        content = first.replace(b"\n", b" ") + b"\n" + inside(arrays, zipped, random, NPY_TOKENS)
        content = mutated(content, random) if random.random() < 0.1 else content
        return {"epoch-3.state": hashlib.sha256(content).hexdigest().encode() + b"\n" + content}

    return Parser(make, lambda folder: module.load_checkpoint(folder, model))


def pictures() -> Parser:
    """Pictures of every format that is read: `ink/pictures.py`."""
    from kuzushiji_tf.ink.pictures import FORMATS, read_gray, read_ink

    files = [picture(form) for form in FORMATS]
    files += [picture("PNG", mode=mode) for mode in ("RGB", "RGBA", "P", "1", "I;16", "LA")]
    files += [picture("JPEG", mode="RGB", progressive=True), picture("JPEG", mode="CMYK")]
    files += [picture("TIFF", compression=kind) for kind in ("tiff_lzw", "packbits", "tiff_deflate")]
    files += [picture("WEBP", lossless=True), picture("GIF", mode="P"), picture("BMP", mode="RGB")]
    tokens = (
        b"IHDR",
        b"IDAT",
        b"tRNS",
        b"acTL",
        b"\xff\xda",
        b"\xff\xc2",
        b"\xff\xe1",
        b"II*\0",
        b"P3\n",
        b"P6 9 9 9 ",
    )

    def make(random: Random) -> Files:
        return {"picture": mutated(random.choice(files), random, files, tokens)}

    def read(folder: Path) -> None:
        read_gray(folder / "picture")
        read_ink(folder / "picture")

    return Parser(make, read)


def http() -> Parser:
    """Requests to the HTTP API: `serving/`."""
    import asyncio

    from kuzushiji_tf.serving.api import Service, create_app
    from kuzushiji_tf.serving.models import load_models

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kana").symlink_to(CARD.parent)
        app = create_app(Service(load_models(Path(folder), copies=1), threads=1))
    loop = asyncio.new_event_loop()
    ink = {"strokes": STROKES, "canvas": [100, 100], "model": "kana", "top_k": 3, "script": "all"}
    pictures = {"image/png": picture("PNG"), "image/jpeg": picture("JPEG", mode="RGB")}
    form = b'--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n3\r\n--b\r\nContent-Disposition: form-data; '
    form += (
        b'name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + pictures["image/png"] + b"\r\n--b--\r\n"
    )
    tokens = (
        b"--b",
        b"--b--",
        b"\r\n\r\n",
        b"; name=",
        b"filename*=utf-8''%",
        b'name="image"',
        b"Content-Type:",
        b"=?",
    )
    queries = (b"top_k=3&polarity=dark", b"model=kana&script=all", b"")

    def make(random: Random) -> Files:
        kind = random.choice(("application/json", *pictures, "multipart/form-data; boundary=b"))
        if kind == "application/json":
            body = mutated_json(ink, random)
        else:
            body = mutated(pictures.get(kind, form), random, (form, *pictures.values()), tokens)
        if random.random() < 0.1:
            kind = mutated(kind.encode(), random).replace(b"\n", b" ").decode("latin-1")
        query = random.choice(queries)
        query = (
            query if random.random() < 0.8 else mutated(query, random, tokens=(b"&", b"=", b"%", b"%ff", b";", b"+"))
        )
        return {"body": body, "kind": kind.encode("latin-1"), "query": query}

    def read(folder: Path) -> None:
        body, kind, query = ((folder / name).read_bytes() for name in ("body", "kind", "query"))
        status, answer = loop.run_until_complete(_asked(app, body, kind, query))
        if status >= 500:
            raise AssertionError(f"{status}: {answer!r}")
        if status != 200:
            raise UserError(json.loads(answer)["error"])

    return Parser(make, read)


async def _asked(app: Callable[..., Any], body: bytes, kind: bytes, query: bytes) -> tuple[int, bytes]:
    """Return the status and the body of the answer to one request."""
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "root_path": ""}
    scope |= {"path": "/v1/recognize", "query_string": query, "headers": headers, "client": ("127.0.0.1", 1)}
    arriving = iter([{"type": "http.request", "body": body, "more_body": False}])
    answer: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(arriving, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        answer.append(message)

    await app(scope, receive, send)
    return answer[0]["status"], b"".join(message.get("body", b"") for message in answer)


PARSERS: dict[str, Callable[[], Parser]] = {
    parser.__name__: parser
    for parser in (
        npz,
        own_npz,
        idx,
        array_folder,
        tar,
        kkanji,
        etl,
        svg,
        strokes,
        tomoe,
        labels,
        recipes,
        cards,
        work_directory,
        checkpoints,
        pictures,
        http,
    )
}
