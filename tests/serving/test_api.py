"""The HTTP API reads characters; whatever else it is sent is answered with one sentence and a 4xx, never a 500."""

import asyncio
import io
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.recognition.pretrained import PRETRAINED
from kuzushiji_tf.serving.api import Service, create_app
from kuzushiji_tf.serving.limits import Limits
from kuzushiji_tf.serving.models import load_models
from kuzushiji_tf.serving.security import read_key
from kuzushiji_tf.serving.static import takes
from tests.making import png_claiming

INK = {"model": "kana", "strokes": [[[30, 20], [80, 20]], [[55, 5], [52, 60], [30, 95]]]}
KEY = "correct-horse-battery"


@pytest.fixture(scope="module")
def models() -> dict:
    return load_models(PRETRAINED, copies=2)


@pytest.fixture(scope="module")
def client(models) -> TestClient:
    """A client of the real recognizers, with the limits as they are; an error inside the server fails the test."""
    with TestClient(create_app(Service(models, threads=2))) as client:
        yield client


def _ink(client, **changes) -> httpx2.Response:
    return client.post("/v1/recognize", json={**INK, **changes})


def _png(image: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


def _drawn(strokes, size: int = 200) -> np.ndarray:
    """Return a picture of strokes, dark on light."""
    return 255 - draw_ink(strokes, size)


def test_a_large_picture_in_a_form_needs_no_folder_to_write_to(client, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/absent")
    paper = np.random.default_rng(0).integers(200, 256, (1300, 1300), np.uint8)
    paper[600:700, 200:1100] = 0
    picture = _png(paper)
    assert len(picture) > 1 << 20
    assert client.post("/v1/recognize", files={"image": ("a.png", picture)}).status_code == 200


def test_a_persons_strokes_and_their_picture_are_read(client, models, data_dir):
    labels = models["kana"].labels
    drawings = [drawing for drawing in load_tomoe_strokes(data_dir) if drawing.character in labels]
    assert len(drawings) > 40
    right = 0
    for drawing in drawings:
        answer = _ink(client, strokes=[stroke.tolist() for stroke in drawing.strokes], top_k=3).json()
        assert [len(answer["candidates"]), answer["model"]] == [3, "kana"]
        assert answer["candidates"][0]["code_point"] == f"U+{ord(answer['candidates'][0]['character']):04X}"
        right += answer["candidates"][0]["character"] == drawing.character
    assert right >= 0.95 * len(drawings)
    right = 0
    for number, drawing in enumerate(drawings[:10]):
        kind, name = (("JPEG", "jpeg"), ("JPEG", "jpg"), ("WEBP", "webp"))[number % 3]
        picture, headers = _png(_drawn(drawing.strokes), kind), {"Content-Type": f"image/{name}"}
        raw = client.post("/v1/recognize?model=kana&top_k=1&polarity=dark", content=picture, headers=headers)
        form = client.post("/v1/recognize", data={"model": "kana", "top_k": "1"}, files={"image": ("a.jpg", picture)})
        assert raw.json() == form.json()
        right += raw.json()["candidates"][0]["character"] == drawing.character
    assert right >= 9


def test_times_and_whole_numbers_are_taken_and_the_answer_is_that_of_the_file(client, models):
    with_times = [[[x, y, 8 * index] for index, (x, y) in enumerate(stroke)] for stroke in INK["strokes"]]
    answer = _ink(client, strokes=with_times, top_k=50).json()
    assert answer == _ink(client, top_k=50).json()
    probabilities = [candidate["probability"] for candidate in answer["candidates"]]
    assert probabilities == sorted(probabilities, reverse=True)
    with models["kana"].lend() as recognizer:
        expected = recognizer.recognize(strokes=INK["strokes"], top_k=50)
    assert [candidate["character"] for candidate in answer["candidates"]] == [item.character for item in expected]
    assert probabilities == pytest.approx([item.probability for item in expected])


def test_the_pad_tells_small_kana_from_large_ones(client):
    tsu = np.array([[10, 30], [60, 20], [90, 45], [70, 75], [40, 85]])

    def read(points, **more):
        return [each["character"] for each in _ink(client, strokes=[points.tolist()], **more).json()["candidates"]]

    assert read(tsu, canvas=[100, 100])[:2] == ["つ", "っ"]
    assert read(tsu * 0.4 + [10, 50], canvas=[100.0, 100.0])[:2] == ["っ", "つ"]
    assert "っ" not in read(tsu * 0.4 + [10, 50]) == read(tsu, canvas=None)
    assert read(tsu - 50, canvas=[100, 100])[0] in "つっ", "a stroke may leave the pad"


def test_a_line_is_read_and_cut_into_characters(client, models):
    drawn = [stroke for character in "あねし" for stroke in _kanjivg(character)]
    places = [0] * 3 + [110] * 2 + [220]
    strokes = [[[x + place, y] for x, y in stroke] for stroke, place in zip(drawn, places, strict=True)]
    response = client.post("/v1/recognize-text", json={"strokes": strokes, "top_k": 2, "model": "touch-kana"})
    best, second = response.json()["texts"]
    assert best["text"] == "あねし" != second["text"] and best["score"] >= second["score"]
    assert [(part["first"], part["strokes"]) for part in best["segments"]] == [(0, 3), (3, 2), (5, 1)]
    assert [part["candidates"][0]["character"] for part in best["segments"]] == list("あねし")


def _kanjivg(character):
    return [(100 * stroke).round().tolist() for stroke in load_strokes([character])[character]]


def test_what_is_refused_still_lists_its_candidates(client):
    scribble = [[[(37 * i) % 101, (53 * i) % 97] for i in range(120)]]
    answer = _ink(client, model="touch-kana", strokes=scribble).json()
    assert not answer["is_character"] and len(answer["candidates"]) == 5


def test_the_models_their_labels_and_files_can_be_fetched(client):
    listed = client.get("/v1/models").json()
    kana = next(model for model in listed["models"] if model["name"] == "kana")
    assert (kana["classes"], kana["size"], kana["normalization"]) == (71, 32, "ink-box")
    touch = next(model for model in listed["models"] if model["name"] == "touch-kana")
    assert touch["classes"] == 147 + 51, "what is no character is none of them"
    assert kana["licence"] and kana["credit"]
    assert listed["default"] in {model["name"] for model in listed["models"] if model["normalization"] == "ink-box"}
    labels = client.get("/v1/models/kana/labels").json()
    assert (labels["characters"][0], labels["code_points"][0], len(labels["characters"])) == ("あ", "U+3042", 71)
    for file, kind in (
        ("labels.txt", "text/plain"),
        ("model.json", "application/json"),
        ("model-int8.tflite", "octet"),
    ):
        response = client.get(f"/v1/models/kana/{file}")
        assert response.content == (PRETRAINED / "kana" / file).read_bytes()
        assert kind in response.headers["content-type"]


def test_the_description_names_every_route_and_the_page_of_it_fetches_nothing(client):
    description = client.get("/openapi.json").json()
    assert {
        "/v1/recognize",
        "/v1/recognize-text",
        "/v1/models",
        "/v1/models/{name}/labels",
        "/healthz",
        "/metrics",
    } <= set(description["paths"])
    content = description["paths"]["/v1/recognize"]["post"]["requestBody"]["content"]
    pictures = {"image/png", "image/jpeg", "image/jpg", "image/webp"}
    assert set(content) == {"application/json", "multipart/form-data"} | pictures
    assert {"strokes", "canvas"} <= set(content["application/json"]["schema"]["properties"])
    page = client.get("/docs")
    assert all(path in page.text for path in description["paths"])
    assert "src=" not in page.text and "http://127.0.0.1" in page.text
    for path in ("/healthz", "/readyz"):
        assert client.get(path).json() == {"status": "ok"}
        assert client.head(path).status_code == 200


def _form(name: str = "image", content: bytes = b"x", **fields) -> dict:
    return {"files": {name: ("a.png", content)}, "data": fields}


BAD_INK = {
    "no body": b"",
    "no JSON": b"strokes",
    "cut short": json.dumps(INK).encode()[:-5],
    "no object": b"[1, 2]",
    "null": b"null",
    "invalid UTF-8": b'{"strokes": [[[1, 2]]], "model": "\xff\xfe"}',
    "NaN": b'{"strokes": [[[NaN, 1]]]}',
    "infinity": b'{"strokes": [[[Infinity, 1], [2, 3]]]}',
    "beyond floats": b'{"strokes": [[[1e999, 1], [2, 3]]]}',
    "a coordinate too large": b'{"strokes": [[[1e30, 1], [2, 3]]]}',
    "a huge whole number": b'{"strokes": [[[' + b"9" * 5000 + b", 1]]]}",
    "text for a number": b'{"strokes": [[["1", 2]]]}',
    "true for a number": b'{"strokes": [[[true, 2]]]}',
    "one coordinate": b'{"strokes": [[[1]]]}',
    "four coordinates": b'{"strokes": [[[1, 2, 3, 4]]]}',
    "points and times mixed": b'{"strokes": [[[1, 2], [3, 4, 5]]]}',
    "strokes of points without brackets": b'{"strokes": [[1, 2, 3, 4]]}',
    "an object for strokes": b'{"strokes": {"0": [[1, 2]]}}',
    "no strokes": b'{"strokes": []}',
    "empty strokes": b'{"strokes": [[], []]}',
    "strokes missing": b'{"top_k": 3}',
    "an unknown field": b'{"strokes": [[[1, 2]]], "sudo": true}',
    "top_k of 0": b'{"strokes": [[[1, 2]]], "top_k": 0}',
    "top_k of a million": b'{"strokes": [[[1, 2]]], "top_k": 1000000}',
    "top_k as text": b'{"strokes": [[[1, 2]]], "top_k": "3"}',
    "an unknown script": b'{"strokes": [[[1, 2]]], "script": "cyrillic"}',
    "a canvas of one number": b'{"strokes": [[[1, 2]]], "canvas": [9]}',
    "a canvas of three numbers": b'{"strokes": [[[1, 2]]], "canvas": [9, 9, 9]}',
    "a canvas of nothing": b'{"strokes": [[[1, 2]]], "canvas": [0, 9]}',
    "a canvas below nothing": b'{"strokes": [[[1, 2]]], "canvas": [9, -9]}',
    "a canvas without an end": b'{"strokes": [[[1, 2]]], "canvas": [9, 1e999]}',
    "a canvas that is no number": b'{"strokes": [[[1, 2]]], "canvas": [9, NaN]}',
    "a canvas as text": b'{"strokes": [[[1, 2]]], "canvas": "9x9"}',
    "a canvas as an object": b'{"strokes": [[[1, 2]]], "canvas": {"width": 9, "height": 9}}',
    "an unknown model": b'{"strokes": [[[1, 2]]], "model": "../../etc"}',
    "too many strokes": json.dumps({"strokes": [[[1, 2]]] * 1025}).encode(),
    "too many points": b'{"strokes": [[' + b"[1,2]," * 60_000 + b"[3,4]]]}",
    "a million points": b'{"strokes": [[' + b"[1,2]," * 1_000_000 + b"[3,4]]]}",
    "a million wrong points": b'{"strokes": [[' + b'"",' * 600_000 + b"[3,4]]]}",
    "deep nesting": b'{"strokes": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a line of 10,000 km": json.dumps({"strokes": [[[0, 0], [100, 100]] * 2000]}).encode(),
}


@pytest.mark.parametrize("name", BAD_INK)
def test_bad_strokes_get_one_sentence_and_a_4xx(client, name):
    for path in ("recognize", "recognize-text"):
        headers = {"Content-Type": "application/json"}
        _is_refused(client.post(f"/v1/{path}", content=BAD_INK[name], headers=headers))


def _is_refused(response: httpx2.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    assert response.json().keys() == {"error"}
    sentence = response.json()["error"]
    assert sentence.endswith((".", "?")) and "\n" not in sentence and len(sentence) < 400
    assert not any(word in sentence for word in ("Traceback", "0x", "/work", "kuzushiji_tf/", "Value error"))


WHOLE = _png(np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8))
BAD_PICTURES = {
    "empty": b"",
    "text": b"this is a text\n" * 9,
    "truncated": WHOLE[: len(WHOLE) // 2],
    "header only": WHOLE[:40],
    "one pixel": _png(np.zeros((1, 1), np.uint8)),
    "no ink": _png(np.full((40, 40), 255, np.uint8)),
    "20,000 x 20,000": png_claiming(20_000, 20_000),
    "60,000 x 60,000": png_claiming(60_000, 60_000),
    "a long line": png_claiming(1_000_000, 1),
    "4,096 x 4,096": png_claiming(4096, 4096),
    "a GIF": _png(np.zeros((9, 9), np.uint8), "GIF"),
    "too many bytes": b"\x89PNG\r\n\x1a\n" + b"\0" * (5 << 20),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_bad_pictures_get_one_sentence_and_a_4xx(client, name):
    body = BAD_PICTURES[name]
    for kind in ("image/png", "image/jpeg"):
        _is_refused(client.post("/v1/recognize", content=body, headers={"Content-Type": kind}))
    _is_refused(client.post("/v1/recognize", **_form(content=body)))


def test_damaged_pictures_are_answered_whatever_the_damage(client):
    random = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP"):
        content = np.frombuffer(_png(_drawn(INK["strokes"], 40), kind), np.uint8)
        for _ in range(40):
            damaged = content.copy()
            damaged[random.integers(0, len(damaged), 5)] = random.integers(0, 256, 5)
            response = client.post("/v1/recognize", content=damaged.tobytes(), headers={"Content-Type": "image/png"})
            assert response.status_code == 200 or 400 <= response.status_code < 500


@pytest.mark.parametrize(
    "request_, status",
    [
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ({"content": b"x", "headers": {"Content-Type": "image/gif"}}, 415),
        ({"content": b"x"}, 415),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"x" * 100, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400),
        ({"content": json.dumps(INK).encode(), "headers": {"Content-Type": "image/png"}}, 422),
        ({"content": WHOLE, "headers": {"Content-Type": "application/json"}}, 422),
        (_form("picture"), 422),
        ({"files": [("image", ("a", b"x")), ("image", ("b", b"x"))]}, 400),
        ({"data": {"image": "text"}, "files": {"other": ("a", b"x")}}, 422),
        (_form(content=WHOLE, top_k="many"), 422),
        (_form(content=WHOLE, polarity="blue"), 422),
        (_form(content=WHOLE, sudo="1"), 422),
        (_form(content=WHOLE, canvas="9,9"), 422),
        ({"params": {"top_k": "-1"}, "content": WHOLE, "headers": {"Content-Type": "image/png"}}, 422),
        ({"params": {"model": "absent"}, "content": WHOLE, "headers": {"Content-Type": "image/png"}}, 404),
    ],
)
def test_bad_requests_get_the_status_that_fits(client, request_, status):
    response = client.post("/v1/recognize", **request_)
    assert response.status_code == status, response.text
    _is_refused(response)


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/absent", 404),
        ("GET", "/v1/recognize", 405),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/models/absent/labels", 404),
        ("GET", "/v1/models/kana/model.keras", 404),
        ("GET", "/v1/models/kana/..%2f..%2fpyproject.toml", 404),
        ("GET", "/v1/models/..%2f..%2fsaved_models%2fkana/labels.txt", 404),
        ("GET", "/%00", 404),
    ],
)
def test_what_is_not_there_is_not_there(client, method, path, status):
    response = client.request(method, path)
    assert response.status_code == status
    _is_refused(response)


def test_a_body_without_a_declared_length_is_cut_off_too(client):
    def long():
        for _ in range(8):
            yield b"[" * (1 << 20)

    for kind in ("application/json", "image/png", "multipart/form-data; boundary=b"):
        _is_refused(client.post("/v1/recognize", content=long(), headers={"Content-Type": kind}))


def test_a_huge_picture_costs_no_memory(client):
    import tracemalloc

    tracemalloc.start()
    for _ in range(3):
        client.post("/v1/recognize", content=png_claiming(20_000, 20_000), headers={"Content-Type": "image/png"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("next_message, status", [(None, 408), ({"type": "http.disconnect"}, 400)])
def test_a_body_that_never_comes_gives_its_place_back(models, next_message, status):
    service = Service(models, threads=1, limits=Limits(body_seconds=0.05))
    sent = []

    async def receive() -> dict:
        if next_message is None:
            await asyncio.sleep(60)
        return next_message

    async def send(message: dict) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    scope = {"type": "http", "method": "POST", "path": "/v1/recognize", "headers": headers, "query_string": b""}
    asyncio.run(create_app(service)(scope, receive, send))
    assert sent[0]["status"] == status
    assert json.loads(sent[1]["body"]).keys() == {"error"}
    assert service.gate.inside == 0


class _Waiting:
    """A recognizer that waits until it is told to answer."""

    def __init__(self, recognizer):
        self.recognizer = recognizer
        self.entered, self.go_on = threading.Event(), threading.Event()

    def read(self, **what):
        self.entered.set()
        assert self.go_on.wait(20)
        return self.recognizer.read(**what)


def test_who_finds_no_place_is_told_when_to_try_again(models):
    with models["kana"].lend() as recognizer:
        busy = replace(models["kana"], idle=SimpleQueue())
        waiting = _Waiting(recognizer)
        busy.idle.put(waiting)
        service = Service({"kana": busy}, threads=1, limits=Limits(requests=1))
        with TestClient(create_app(service)) as client, ThreadPoolExecutor() as pool:
            first = pool.submit(_ink, client)
            assert waiting.entered.wait(20)
            refused = _ink(client)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert refused.json().keys() == {"error"}
            assert client.get("/healthz").status_code == 200
            waiting.go_on.set()
            assert first.result(20).status_code == 200
            assert _ink(client).status_code == 200
            waiting.recognizer = None
            with pytest.raises(AttributeError):
                _ink(client)
            assert service.gate.inside == 0  # an error leaves its place free, too


def test_an_error_of_the_server_says_nothing_about_its_inside(models):
    broken = replace(models["kana"], card=None, idle=SimpleQueue())
    broken.idle.put(None)
    with TestClient(create_app(Service({"kana": broken}, threads=1)), raise_server_exceptions=False) as client:
        for response in (client.get("/v1/models"), _ink(client)):
            assert response.status_code == 500
            assert response.json() == {"error": "Something went wrong in the server; its log says what."}


def test_many_at_once_get_the_answers_that_one_gets(client):
    drawings = [INK["strokes"][: 1 + number % 2] for number in range(40)]
    expected = [_ink(client, strokes=strokes).json() for strokes in drawings[:2]]
    assert expected[0] != expected[1]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda strokes: _ink(client, strokes=strokes).json(), drawings))
    assert answers == expected * 20


def test_a_key_guards_the_api_and_nothing_else(models):
    with TestClient(create_app(Service(models, threads=1), api_key=KEY)) as client:
        for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": KEY[:-1]}, {"Authorization": f"Basic {KEY}"}):
            for path in ("/v1/models", "/metrics", "/v1/models/kana/labels"):
                refused = client.get(path, headers=headers)
                assert refused.status_code == 401
                _is_refused(refused)
            assert client.post("/v1/recognize", json=INK, headers=headers).status_code == 401
        assert client.get("/v1/models", headers={"X-API-Key": "é".encode("latin-1")}).status_code == 401
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            assert client.post("/v1/recognize", json=INK, headers=headers).status_code == 200
        assert client.get("/healthz").status_code == client.get("/docs").status_code == 200


def test_the_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("KUZUSHIJI_API_KEY", raising=False)
    assert read_key(None) is None
    monkeypatch.setenv("KUZUSHIJI_API_KEY", KEY)
    assert read_key(None) == KEY
    (tmp_path / "key").write_text(f"{KEY}-of-the-file\n")
    assert read_key(tmp_path / "key") == f"{KEY}-of-the-file"
    for text in ("", "short", "two words are too many", "ключ-ключ-ключ-ключ"):
        (tmp_path / "key").write_text(text)
        with pytest.raises(UserError, match="16 ASCII characters"):
            read_key(tmp_path / "key")
    with pytest.raises(MissingFileError):
        read_key(tmp_path / "absent")


def test_pages_elsewhere_are_kept_out_unless_they_are_named(client, models):
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.get("/v1/models", headers=asked).headers
    with TestClient(create_app(Service(models, threads=1), cors_origins=("https://example.org",))) as open_client:
        allowed = open_client.options("/v1/recognize", headers=asked)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = open_client.options("/v1/recognize", headers={**asked, "Origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


def test_metrics_count_by_route_and_never_by_what_a_client_made_up(models):
    with TestClient(create_app(Service(models, threads=1))) as client:
        for number in range(3):
            client.get(f"/made-up-{number}")
            client.get(f"/v1/models/made-up-{number}/labels")
        _ink(client)
        client.request("BREW", "/healthz")
        text = client.get("/metrics").text
    assert 'kuzushiji_requests_total{method="GET",route="/v1/models/{name}/labels",status="404"} 3.0' in text
    assert 'kuzushiji_requests_total{method="POST",route="/v1/recognize",status="200"} 1.0' in text
    assert 'kuzushiji_recognition_seconds_count{input="strokes",model="kana"} 1.0' in text
    assert 'method="other"' in text
    assert "process_resident_memory_bytes" in text
    assert "made-up" not in text and "BREW" not in text


def test_every_answer_forbids_guessing_types_and_framing(client):
    for path in ("/docs", "/v1/models", "/absent"):
        headers = client.get(path).headers
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")


@pytest.fixture
def site(tmp_path):
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "sub").mkdir()
    for name, content in (("main.js", b"plain"), ("main.js.gz", b"gzip"), ("main.js.br", b"brotli")):
        (tmp_path / name).write_bytes(content)
    for name in ("a.wasm", "app.webmanifest", "sub/m.tflite", "style.css"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_the_page_is_served_in_the_smallest_form_that_the_browser_takes(models, site):
    with TestClient(create_app(Service(models, threads=1), site=site)) as client:
        for accepted, content, encoding in (
            ("gzip, deflate, br", b"brotli", "br"),
            ("gzip", b"gzip", "gzip"),
            ("br;q=0, gzip;q=0.5", b"gzip", "gzip"),
            ("identity", b"plain", None),
        ):
            with client.stream("GET", "/main.js", headers={"Accept-Encoding": accepted}) as response:
                assert b"".join(response.iter_raw()) == content
                assert response.headers.get("content-encoding") == encoding
                assert response.headers["content-type"] == "text/javascript; charset=utf-8"
                assert response.headers["vary"] == "Accept-Encoding"
        plain = client.get("/main.js", headers={"Accept-Encoding": "identity"})
        again = client.get("/main.js", headers={"Accept-Encoding": "identity", "If-None-Match": plain.headers["etag"]})
        assert (again.status_code, again.content, again.headers["cache-control"]) == (304, b"", "no-cache")
        for path, kind in (
            ("/", "text/html; charset=utf-8"),
            ("/a.wasm", "application/wasm"),
            ("/app.webmanifest", "application/manifest+json"),
            ("/sub/m.tflite", "application/octet-stream"),
        ):
            assert client.get(path).headers["content-type"] == kind
        assert client.get("/v1/models").status_code == client.get("/docs").status_code == 200
        for path in ("/absent.js", "/../pyproject.toml", "/sub/"):
            _is_refused(client.get(path))


@pytest.mark.parametrize("header, taken", [("br", True), ("BR ; q=1.0", True), ("br;q=0.000", False), ("brr", False)])
def test_encodings_are_compared_whole(header, taken):
    assert takes(header, "br") is taken


def test_a_folder_without_recognizers_is_refused(tmp_path):
    with pytest.raises(MissingFileError, match="exported recognizer"):
        load_models(tmp_path, 1)
    with pytest.raises(MissingFileError, match=r"absent .*exported recognizer"):
        load_models(tmp_path / "absent", 1)


def test_the_files_that_read_are_the_int8_ones(models):
    for name, model in models.items():
        with model.lend() as recognizer:
            assert recognizer.predictor.path.name == "model-int8.tflite"
            assert recognizer.predictor.labels == load_predictor(PRETRAINED / name).labels


def test_a_jpeg_picture_of_a_thousand_scans_holds_up_no_thread(client):
    Image.new("L", (3500, 3500), 255).save(stream := io.BytesIO(), "JPEG", progressive=True)
    content = stream.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    start = time.process_time()
    answer = client.post("/v1/recognize", content=content + last * 1000, headers={"Content-Type": "image/jpeg"})
    assert answer.status_code == 422 and "scans" in answer.json()["error"]
    assert time.process_time() - start < 2


def test_a_length_of_thousands_of_digits_is_too_long(client):
    headers = {"Content-Type": "application/json", "Content-Length": "9" * 5000}
    assert client.post("/v1/recognize", content=b"{}", headers=headers).status_code == 413
