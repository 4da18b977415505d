"""The touch page in a real browser: Chromium as a phone, real pen strokes through touch events, and no network."""

import json
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.errors import MissingFileError
from kuzushiji_tf.ink.normalization import draw_ink
from kuzushiji_tf.recognition.litert import LiteRTModel
from kuzushiji_tf.serving.site import build_site, check_vendor
from tests.touch_page import DESKTOP, PHONE, candidates, chromium, draw, served

pytestmark = pytest.mark.slow

SHIPPED = Path(__file__).parents[2] / "saved_models"
WRITTEN = "あね東永書"
FIRST = "し"  # one stroke: no candidates stand there before it is finished
DRAWINGS = 500
REJECTED = "ん"  # whose class stands for "not a character" in the mixed model
LOAD_IN_PAGE = """
const {Recognizer} = await import("./recognizer.js");
const index = await (await fetch("models/index.json")).json();
const recognizer = await Recognizer.load(index.find(({name}) => name === "touch-joyo"));
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The page with the shipped models, and a mixed one: `kana` under other names, so that it has three scripts."""
    try:
        check_vendor()
    except MissingFileError as error:
        pytest.skip(str(error))
    models = tmp_path_factory.mktemp("models")
    for name in ("touch-joyo", "kana", "kmnist"):
        shutil.copytree(SHIPPED / name, models / name, ignore=shutil.ignore_patterns("saved_model", "*.keras"))
    mixed = models / "mixed"
    shutil.copytree(models / "kana", mixed)
    characters = list(Labels.read(mixed / "labels.txt"))
    characters[1:30] = [chr(ord(character) + 0x60) for character in characters[1:30]]
    characters[40:45] = "日月火水木"
    characters[characters.index(REJECTED)] = "\ufffd"
    Labels(tuple(characters)).write(mixed / "labels.txt")
    card = json.loads((mixed / "model.json").read_text(encoding="utf-8"))
    card["unknown"] = {"character": "\ufffd", "threshold": 0.5}
    (mixed / "model.json").write_text(json.dumps(card), encoding="utf-8")
    target = tmp_path_factory.mktemp("site") / "page"
    build_site(target, models)
    return target


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def shots():
    folder = Path(tempfile.mkdtemp(prefix="touch-page-"))  # pytest's own folders go with the next runs
    print(f"\nscreenshots: {folder}")
    return folder


@pytest.fixture(scope="module")
def strokes(data_dir):
    """One real drawing of each character."""
    return {drawing.character: drawing.strokes for drawing in load_tomoe_strokes(data_dir)}


@contextmanager
def opened(browser, url, *, ready=True, before="", **options):
    """Open the page in a context of its own; whatever it requests must stay at its origin."""
    context = browser.new_context(**options)
    strangers, failures = [], []
    origin = urlsplit(url).netloc
    context.on("request", lambda request: urlsplit(request.url).netloc != origin and strangers.append(request.url))
    page = context.new_page()
    page.on("pageerror", lambda error: failures.append(str(error)))
    if before:
        page.add_init_script(before)
    page.goto(url)
    if ready:
        wait_until_kept(page)
    yield page
    context.close()
    assert strangers == []
    assert failures == []


def wait_until_kept(page):
    """Wait until the page has said that it works offline."""
    page.wait_for_selector("#status[data-state=offline]", state="attached", timeout=120_000)


def test_a_finger_writes_and_reads_the_candidates_online_and_without_a_server(browser, site, strokes, shots):
    with ExitStack() as network:
        server = network.enter_context(served(site))
        phone = {**PHONE, "locale": "ja-JP", "color_scheme": "light"}
        with opened(browser, server.url, ready=False, **phone) as page:
            first = _first_result_ms(page, strokes[FIRST])
            wait_until_kept(page)
            assert _write_each(page, strokes) == list(WRITTEN)
            page.screenshot(path=shots / "phone-light-ja.png")
            page.fill("#text", "")  # which would be there again
            downloaded = dict(server.sent)
            network.close()
            page.context.set_offline(True)
            page.reload()
            again = _first_result_ms(page, strokes[FIRST])
            wait_until_kept(page)
            assert _write_each(page, strokes) == list(WRITTEN)
            measured = page.evaluate("performance.getEntriesByName('recognition').map(({duration}) => duration)")
    wasm = sum(size for path, size in downloaded.items() if "litert_wasm" in path)
    model = sum(size for path, size in downloaded.items() if "/models/" in path)
    total = sum(downloaded.values())
    figures = {
        "first_visit_ms": first,
        "offline_visit_ms": again,
        "recognition_ms": round(statistics.median(measured), 1),
        "download_gzip_bytes": {"runtime": wasm, "model": model, "page": total - wasm - model, "all": total},
    }
    print("\n" + json.dumps(figures))


def test_a_word_is_written_at_once_and_read(browser, site, strokes, shots):
    word = "明日の天気"
    drawn = [
        stroke + np.array([330 * place, 0]) for place, character in enumerate(word) for stroke in strokes[character]
    ]
    with served(site) as server, opened(browser, server.url, locale="ja-JP", **PHONE) as page:
        page.check("#mode [value=word]")
        draw(page, drawn, size=0.9, middle=(0.5, 0.25))
        assert candidates(page)[0] == word
        page.screenshot(path=shots / "phone-word-ja.png")
        page.locator("#candidates button").first.click()
        assert page.input_value("#text") == word
        assert page.eval_on_selector("#undo", "button => button.disabled"), "the pad is empty again"
        page.reload()
        wait_until_kept(page)
        assert page.is_checked("#mode [value=word]"), "the choice is kept"
        page.check("#mode [value=character]")
        draw(page, strokes["永"])
        assert candidates(page)[0] == "永"


def _first_result_ms(page, drawing):
    """Write before the recognizer is there; return when it was, and when the page had read what stood there."""
    draw(page, drawing)
    assert candidates(page)[0] == FIRST
    ready, result = page.evaluate(
        """() => [
            performance.getEntriesByName("recognizer-ready")[0].startTime,
            ...performance.getEntriesByName("recognition").slice(0, 1).map((each) => each.startTime + each.duration),
        ]"""
    )
    page.tap("#clear")
    return {"recognizer_ready": round(ready), "first_result": round(result)}


def _write_each(page, strokes):
    """Write each character, tap its first candidate, and return what was offered first; the text line must agree."""
    read = []
    for character in WRITTEN:
        done = page.evaluate("performance.getEntriesByName('recognition').length") + len(strokes[character])
        draw(page, strokes[character])
        page.wait_for_function(f"() => performance.getEntriesByName('recognition').length === {done}")
        read.append(candidates(page)[0])
        page.tap("#candidates button")
    assert page.input_value("#text") == "".join(read)
    page.tap("#backspace")
    assert page.input_value("#text") == "".join(read[:-1])
    draw(page, strokes["あ"])
    candidates(page)
    page.wait_for_timeout(3500)  # until the stroke guide has played
    return read


def test_the_browser_and_python_read_the_same(browser, site, data_dir):
    folder = site / "models" / "touch-joyo"
    labels = Labels.read(folder / "labels.txt")
    drawings = [drawing.strokes for drawing in load_tomoe_strokes(data_dir) if drawing.character in labels]
    pen = drawings[:: len(drawings) // DRAWINGS][:DRAWINGS]
    model = LiteRTModel(folder / "model-int8.tflite")
    images = np.stack([draw_ink(each, model.image_size[0]) for each in pen])
    expected = model.predict(images)
    with served(site) as server, opened(browser, server.url, **PHONE) as page:
        found, milliseconds = page.evaluate(
            f"""async (images) => {{
                {LOAD_IN_PAGE}
                const rows = [], start = performance.now();
                for (const image of images) rows.push([...await recognizer.run(Float32Array.from(image))]);
                return [rows, (performance.now() - start) / images.length];
            }}""",
            images.reshape(len(images), -1).tolist(),
        )
        from_strokes = page.evaluate(
            f"""async (drawings) => {{
                {LOAD_IN_PAGE}
                const rows = [];
                for (const strokes of drawings) rows.push([...await recognizer.recognize(strokes)]);
                return rows;
            }}""",
            [[stroke.tolist() for stroke in each] for each in pen],
        )
    found, from_strokes = np.array(found), np.array(from_strokes)
    figures = {
        "drawings": len(images),
        "same_top_1": int((found.argmax(1) == expected.argmax(1)).sum()),
        "max_probability_difference": float(np.abs(found - expected).max()),
        "run_ms": round(milliseconds, 2),
        "same_top_1_from_strokes": int((from_strokes.argmax(1) == expected.argmax(1)).sum()),
        "max_probability_difference_from_strokes": float(np.abs(from_strokes - expected).max()),
    }
    print("\n" + json.dumps(figures))
    assert figures["drawings"] == figures["same_top_1"] == DRAWINGS
    assert figures["same_top_1_from_strokes"] == DRAWINGS


def test_a_browser_without_relaxed_simd_fetches_the_other_build_and_it_alone(browser, site, strokes):
    refuse = """const instantiate = WebAssembly.instantiate;
        WebAssembly.instantiate = (source, imports) =>
            source.byteLength < 1000 ? Promise.reject(new Error("refused")) : instantiate(source, imports);"""
    with served(site) as server:
        with opened(browser, server.url, before=refuse, **PHONE) as page:
            draw(page, strokes["あ"])
            assert candidates(page)[0] == "あ"
        fetched = {path for path in server.sent if path.endswith(".wasm")}
    assert fetched == {"/vendor/litert_wasm_compat_internal.wasm"}


def test_undo_clear_filter_and_the_answer_not_a_character(browser, site, strokes, shots):
    with served(site) as server, opened(browser, server.url, **PHONE, locale="en-US", color_scheme="dark") as page:
        page.select_option("#model", "mixed")
        wait_until_kept(page)
        draw(page, strokes["あ"])
        assert candidates(page)[0] == "あ"
        page.locator("#filter label").filter(has_text="Kanji").tap()
        page.wait_for_function(
            "() => '日月火水木'.includes(document.querySelector('#candidates button')?.dataset.character)"
        )
        assert set(candidates(page)) == set("日月火水木")
        page.screenshot(path=shots / "phone-dark-en-filter.png")
        page.locator("#filter label").filter(has_text="All").tap()
        page.tap("#clear")
        page.wait_for_function("() => !document.querySelector('#candidates button')")
        pad = page.locator("#pad").bounding_box()
        draw(page, strokes[REJECTED])
        page.wait_for_function("() => document.querySelector('#note').textContent !== ''")
        offered = candidates(page)
        assert len(offered) >= 5 and REJECTED not in offered
        assert "does not look like a character" in page.text_content("#note")
        assert page.text_content("#spoken").startswith(page.text_content("#note"))
        assert f"Candidates: {offered[0]}, " in page.text_content("#spoken")
        assert page.locator("#pad").bounding_box() == pad, "the pad stays under the pen"
        page.screenshot(path=shots / "phone-dark-en-unknown.png")
        page.tap("#undo")
        page.wait_for_function("() => document.querySelector('#note').textContent === ''")
        assert page.is_disabled("#undo") and page.is_disabled("#clear")


def test_undo_in_the_middle_of_a_stroke_takes_that_stroke_back_alone(browser, site, strokes):
    with served(site) as server, opened(browser, server.url, **DESKTOP, locale="en-US") as page:
        first, second = ([[0.2, 0.3], [0.8, 0.3]], [[0.5, 0.2], [0.5, 0.8]])
        _drag(page, first)
        offered = candidates(page)
        _drag(page, second, release=False)
        page.keyboard.press("Control+z")
        page.mouse.move(600, 500)
        page.mouse.up()
        assert candidates(page) == offered
        page.keyboard.press("Control+z")
        page.wait_for_function("() => !document.querySelector('#candidates button')")


def _drag(page, points, release=True):
    box = page.locator("#pad").bounding_box()
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if number == 0:
            page.mouse.down()
    if release:
        page.mouse.up()


POINT = """([kind, id, type, x, y]) => {
  const pad = document.querySelector("#pad");
  const box = pad.getBoundingClientRect();
  const place = {clientX: box.left + x * box.width, clientY: box.top + y * box.height};
  pad.setPointerCapture = () => {};
  const more = {pointerId: id, pointerType: type, button: 0, bubbles: true, cancelable: true};
  pad.dispatchEvent(new PointerEvent(kind, {...place, ...more}));
}"""


def test_the_pen_writes_though_the_palm_lies_on_the_pad_before_or_after_it(browser, site):
    """Chromium's own input knows no pen: events as a pen gives them are handed to the pad."""
    stroke = [("pointerdown", 0.2, 0.3), ("pointermove", 0.5, 0.3), ("pointermove", 0.8, 0.3), ("pointerup", 0.8, 0.3)]
    with served(site) as server, opened(browser, server.url, **PHONE, locale="en-US") as page:

        def say(kind, pointer, kind_of_pointer, x, y):
            page.evaluate(POINT, [kind, pointer, kind_of_pointer, x, y])

        for kind, x, y in stroke:
            say(kind, 7, "pen", x, y)
        alone = candidates(page)
        page.tap("#clear")
        page.wait_for_function("() => !document.querySelector('#candidates button')")
        page.wait_for_timeout(1100)
        say("pointerdown", 1, "touch", 0.9, 0.9)  # the palm comes first
        say("pointermove", 1, "touch", 0.9, 0.8)
        for kind, x, y in stroke[:2]:
            say(kind, 7, "pen", x, y)
        say("pointerdown", 2, "touch", 0.7, 0.9)  # and another part of it while the pen writes
        say("pointermove", 1, "touch", 0.8, 0.8)
        for kind, x, y in stroke[2:]:
            say(kind, 7, "pen", x, y)
        say("pointerdown", 3, "touch", 0.6, 0.9)  # and a third between two strokes
        say("pointerup", 3, "touch", 0.6, 0.95)
        assert candidates(page) == alone
        assert page.is_enabled("#undo")
        page.tap("#undo")
        page.wait_for_function("() => !document.querySelector('#candidates button')")


def test_a_model_that_cannot_be_had_leaves_the_one_before_it_at_work(browser, site, strokes):
    with ExitStack() as network:
        server = network.enter_context(served(site))
        with opened(browser, server.url, **PHONE, locale="en-US") as page:
            network.close()
            page.context.set_offline(True)
            page.select_option("#model", "kmnist")
            page.wait_for_function("() => document.querySelector('#problem').textContent")
            assert "kmnist" in page.text_content("#problem")
            assert page.input_value("#model") == "touch-joyo"
            draw(page, strokes["東"])
            assert candidates(page)[0] == "東"


def test_a_reload_keeps_the_text_and_a_choice_by_keyboard_keeps_the_focus(browser, site):
    with served(site) as server, opened(browser, server.url, **DESKTOP, locale="en-US") as page:
        _drag(page, [[0.2, 0.3], [0.8, 0.3]])
        first = candidates(page)[0]
        page.focus("#candidates button")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "pad"
        page.reload()
        wait_until_kept(page)
        assert page.input_value("#text") == first and page.is_enabled("#copy")


def test_the_order_and_the_direction_of_strokes_are_judged_and_shown(browser, site, shots):
    down, across = ([[0.5, 0.15], [0.5, 0.85]], [[0.2, 0.45], [0.8, 0.45]])
    with served(site) as server, opened(browser, server.url, **DESKTOP, locale="en-US") as page:
        said = {}
        for name, strokes in {
            "right": (across, down),
            "exchanged": (down, across),
            "backward": (across, down[::-1]),
        }.items():
            for stroke in strokes:
                _drag(page, stroke)
            page.wait_for_function(
                "() => document.querySelector('#candidates button')?.dataset.character === '十' &&"
                " document.querySelector('#guide-order').textContent"
            )
            said[name] = page.text_content("#guide-order")
            page.screenshot(path=shots / f"desktop-order-{name}.png")
            page.click("#clear")
            page.wait_for_function("() => !document.querySelector('#guide-order').textContent")
    assert said["right"] == "Written in order."
    assert "another time" in said["exchanged"] and "Stroke 2 goes the other way" in said["backward"]


@pytest.mark.parametrize(
    ("width", "height", "least_pad", "is_one_column"),
    [(320, 568, 270, True), (412, 915, 330, True), (820, 1180, 600, True), (1180, 820, 500, False)],
)
def test_the_page_fits_phones_and_tablets_held_either_way(browser, site, width, height, least_pad, is_one_column):
    screen = {"viewport": {"width": width, "height": height}, "is_mobile": True, "has_touch": True}
    with served(site) as server, opened(browser, server.url, locale="ja-JP", **screen) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        pad, answer = (page.locator(name).bounding_box() for name in ("#pad", ".answer"))
        assert pad["width"] >= least_pad and pad["x"] >= 0 and pad["x"] + pad["width"] <= width
        assert pad["y"] + pad["height"] <= height or is_one_column
        assert (answer["y"] + answer["height"] <= pad["y"]) == is_one_column


def test_small_kana_are_written_small_in_a_corner(browser, site, strokes, shots):
    with served(site) as server, opened(browser, server.url, **PHONE, locale="ja-JP", color_scheme="light") as page:
        for character, small in (("つ", "っ"), ("よ", "ょ")):
            for middle in ((0.3, 0.7), (0.7, 0.3)):
                draw(page, strokes[character], 0.4, middle)
                assert candidates(page)[:2] == [small, character]
                page.wait_for_timeout(1500)
                page.screenshot(path=shots / f"phone-light-ja-small-{small}-{middle[0]}.png")
                page.tap("#clear")
                page.wait_for_function("() => !document.querySelector('#candidates button')")
            draw(page, strokes[character])
            assert candidates(page)[:2] == [character, small]
            page.tap("#candidates button:nth-child(1)")


def test_everything_can_be_done_with_the_keyboard_and_is_said_aloud(browser, site, shots):
    with served(site) as server, opened(browser, server.url, **DESKTOP, locale="en-US", color_scheme="light") as page:
        page.focus("#pad")
        for key in ["ArrowLeft"] * 8 + ["Space"] + ["ArrowRight"] * 16 + ["Space"]:
            page.keyboard.press(key)
        offered = candidates(page)
        spoken = page.text_content("#spoken")
        assert spoken.startswith(f"Candidates: {offered[0]}, ")
        assert page.get_attribute("#candidates button", "aria-label").startswith(f"{offered[0]}, ")
        page.wait_for_timeout(3000)
        page.screenshot(path=shots / "desktop-light-en.png")
        page.keyboard.press("2")
        assert page.input_value("#text") == offered[1]
        page.keyboard.press("Space")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Space")
        candidates(page)
        page.keyboard.press("Control+z")
        page.wait_for_function("() => !document.querySelector('#candidates button')")
        names = "[...document.querySelectorAll('button, input, select, canvas')].filter(each => each.offsetParent)"
        unnamed = page.evaluate(
            f"{names}.filter(each => !(each.ariaLabel || each.innerText || each.labels?.length)).map(each => each.id)"
        )
        assert unnamed == []


def test_language_and_theme_are_chosen_by_the_browser_then_by_the_person_and_stay(browser, site, strokes, shots):
    with served(site) as server, opened(browser, server.url, **DESKTOP, locale="ja-JP", color_scheme="dark") as page:
        color = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(color)
        assert page.text_content("h1 span") == "手書き文字認識"
        box = page.locator("#pad").bounding_box()
        for stroke in strokes["ほ"]:
            for number, (x, y) in enumerate((stroke / 300 * box["width"]).tolist()):
                page.mouse.move(box["x"] + x, box["y"] + y)
                if number == 0:
                    page.mouse.down()
            page.mouse.up()
        candidates(page)
        page.wait_for_timeout(3500)
        page.screenshot(path=shots / "desktop-dark-ja.png")
        page.click("#language")
        page.click("#theme")
        page.reload()
        wait_until_kept(page)
        assert page.text_content("h1 span") == "Handwriting"
        assert page.get_attribute("html", "lang") == "en"
        assert page.evaluate(color) != dark


def test_what_fails_is_said_in_one_sentence(browser, site, tmp_path):
    broken = tmp_path / "site"
    shutil.copytree(site, broken)
    for name in ("model-int8.tflite", "model-int8.tflite.gz"):
        (broken / "models" / "kana" / name).unlink()
    with served(broken) as server, opened(browser, server.url, ready=False, **PHONE, locale="en-US") as page:
        page.wait_for_selector("#model option", state="attached")
        page.select_option("#model", "kana")
        page.wait_for_function("() => document.querySelector('#problem').textContent")
        assert "kana" in page.text_content("#problem")
        page.select_option("#model", "kmnist")
        page.wait_for_function("() => document.querySelector('#problem').textContent === ''")


def test_a_changed_file_reaches_a_returning_visitor_and_the_rest_is_not_fetched_again(browser, site, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(SHIPPED / "kana", models / "kana", ignore=shutil.ignore_patterns("saved_model", "*.keras"))
    target = tmp_path / "site"
    build_site(target, models)
    with served(target) as server, opened(browser, server.url, **PHONE, locale="en-US") as page:
        card = json.loads((models / "kana" / "model.json").read_text(encoding="utf-8"))
        (models / "kana" / "model.json").write_text(json.dumps({**card, "title": "renamed"}), encoding="utf-8")
        time.sleep(1.1)  # file times are whole seconds over HTTP
        build_site(target, models)
        server.sent.clear()
        page.evaluate("navigator.serviceWorker.getRegistration().then((registration) => registration.update())")
        page.wait_for_function("() => navigator.serviceWorker.getRegistration().then(({waiting}) => waiting !== null)")
        page.goto("about:blank")  # the last page of the old version: the new one takes over
        page.wait_for_timeout(500)
        page.goto(server.url)
        wait_until_kept(page)
        assert "renamed" in page.text_content("#model")
        assert not any(path.endswith((".wasm", ".tflite")) for path in server.sent)
