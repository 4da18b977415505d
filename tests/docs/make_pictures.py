"""Make the three pictures of the README, `docs/images/*.png`: the touch page, cursive kanji read, and written anew.

    python -m tests.docs.make_pictures

Needs Chromium, fonts-noto-cjk, `npm ci --prefix kuzushiji_tf/serving/web`, and the data that KUZUSHIJI_DATA names.
The cursive characters are those of Kuzushiji-Kanji's test images (CC BY-SA 4.0), the first image of each character.
"""

import base64
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import kuzushiji_tf as kt
from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.serving.site import build_site
from tests.snippets import ROOT
from tests.touch_page import PHONE, candidates, chromium, draw, served

PICTURES = ROOT / "docs" / "images"
MODELS = ROOT / "saved_models"
HEIGHT = 752  # of a phone's page: down to the buttons under the pad
WRITTEN, SHOWN = "文字", "書"
READ = "花鳥風月雪"
REDRAWN = {"seen in training": "入十戸立", "never seen: nearly always wrong, as here": "水"}
DRAWINGS = 3
STYLE = """
* {box-sizing: border-box; margin: 0}
body {width: 412px; height: 752px; padding: 16px; background: #f4efe4; color: #1d1a16; font-family: sans-serif;
      display: flex; flex-direction: column; gap: 12px}
h1 {font: 600 19px serif}
p {font-size: 13px; color: #6d665a; margin-top: -6px}
.row {flex: 1; display: flex; align-items: center; gap: 8px}
.card {border: 1px solid #ddd3c0; border-radius: 14px; background: #fffdf6; display: grid; place-items: center}
.cursive {flex: none; width: 118px; height: 118px}
.cursive img {width: 96px; mix-blend-mode: multiply}
.drawing {flex: 1; height: 96px}
.drawing svg {width: 68px; height: 68px}
.small .cursive {width: 96px; height: 96px}
.small .cursive img {width: 76px}
.arrow {color: #b5362b; font-size: 20px}
.reading {flex: 1; height: 96px; align-content: center; gap: 6px; font: 30px serif}
.reading small {font: 11px sans-serif; color: #6d665a}
.first {background: #f5ddd6; border-color: #b5362b; color: #1d1a16}
.bar {width: 76%; height: 4px; border-radius: 2px; background: #e5dccb; overflow: hidden}
.bar b {display: block; height: 4px; background: #b5362b}
"""


def touch_page(browser) -> bytes:
    """Return a screenshot of the touch page after two characters were chosen and a third was drawn with a pen."""
    strokes = {drawing.character: drawing.strokes for drawing in load_tomoe_strokes(Path(os.environ["KUZUSHIJI_DATA"]))}
    with tempfile.TemporaryDirectory() as folder:
        (models := Path(folder) / "models").mkdir()
        (models / "touch-joyo").symlink_to(MODELS / "touch-joyo")
        build_site(Path(folder) / "site", models)
        with served(Path(folder) / "site") as server:
            page = browser.new_page(**PHONE, locale="en-US", color_scheme="light")
            page.goto(server.url)
            page.wait_for_selector("#status[data-state=offline]", state="attached", timeout=120_000)
            for character in WRITTEN:
                draw(page, strokes[character])
                page.locator(f"#candidates button[data-character={character}]").first.tap()
            draw(page, strokes[SHOWN])
            assert candidates(page)[0] == SHOWN
            page.wait_for_timeout(500)  # until the bars have grown
            return page.screenshot(clip={"x": 0, "y": 0, "width": PHONE["viewport"]["width"], "height": HEIGHT})


def reading(images: dict[str, Image.Image]) -> str:
    """Return a page of cursive kanji with the candidates of `saved_models/kkanji`."""
    recognizer, rows = kt.Recognizer(MODELS / "kkanji"), []
    for image in images.values():
        chips = [
            f'<div class="card reading {"" if place else "first"}">{candidate.character}'
            f'<span class="bar"><b style="width: {candidate.probability:.0%}"></b></span>'
            f"<small>{_percent(candidate.probability)}</small></div>"
            for place, candidate in enumerate(recognizer.recognize(image, polarity="dark", top_k=3))
        ]
        rows.append(f'<div class="row">{_cursive(image)}<span class="arrow">→</span>{"".join(chips)}</div>')
    return (
        f"<h1>3,832 cursive kanji, read</h1><p>an int8 file of 2.7 MB; Kuzushiji-Kanji test images</p>{''.join(rows)}"
    )


def redrawing(images: dict[str, Image.Image]) -> str:
    """Return a page of cursive kanji with the modern strokes that `saved_models/transfer` writes for them."""
    parts = ["<h1>Cursive in, modern strokes out</h1>"]
    with tempfile.TemporaryDirectory() as folder:
        for name, characters in REDRAWN.items():
            parts.append(f"<p>{name}</p>")
            for character in characters:
                file, drawings = Path(folder) / f"{character}.png", Path(folder) / "drawings"
                images[character].save(file)
                command = [sys.executable, "-m", "kuzushiji_tf", "transfer", "generate", str(file)]
                options = ["--output", str(drawings), "--samples", str(DRAWINGS), "--temperature", "0.1"]
                subprocess.run([*command, *options, "--polarity", "dark"], check=True, cwd=ROOT)
                cards = [
                    f'<div class="card drawing">{(drawings / character / f"sample-{number}.svg").read_text()}</div>'
                    for number in range(1, DRAWINGS + 1)
                ]
                cells = f'{_cursive(images[character])}<span class="arrow">→</span>{"".join(cards)}'
                parts.append(f'<div class="row small">{cells}</div>')
    return "".join(parts)


def _percent(probability: float) -> str:
    return f"{probability:.0%}" if probability >= 0.01 else "< 1%"


def _cursive(image: Image.Image) -> str:
    image.save(stream := io.BytesIO(), "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<div class="card cursive"><img src="data:image/png;base64,{data}"></div>'


def _photographed(browser, body: str) -> bytes:
    page = browser.new_page(viewport={"width": 412, "height": HEIGHT}, device_scale_factor=PHONE["device_scale_factor"])
    page.set_content(f"<style>{STYLE}</style>{body}")
    return page.screenshot()


def _write(picture: bytes, path: Path) -> None:
    """Write a screenshot at twice the size it is shown at, in few colors: a README should open quickly."""
    image = Image.open(io.BytesIO(picture)).convert("RGB").resize((824, 2 * HEIGHT), Image.Resampling.LANCZOS)
    image.quantize(160, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size:,} bytes")


def main() -> None:
    """Write the three pictures."""
    test = kt.load_dataset("kkanji", "test")
    first = {}
    for character in READ + "".join(REDRAWN.values()):
        row = np.flatnonzero(test.labels == test.classes.index_of(character))[0]
        first[character] = Image.fromarray(255 - test.images[row])
    with chromium() as browser:
        _write(touch_page(browser), PICTURES / "touch-page.png")
        _write(_photographed(browser, reading({name: first[name] for name in READ})), PICTURES / "read.png")
        _write(_photographed(browser, redrawing(first)), PICTURES / "transfer.png")


if __name__ == "__main__":
    main()
