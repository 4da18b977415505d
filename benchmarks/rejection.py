"""How well a touch recognizer tells what is not a character, when it may refuse one real character in twenty.

    python benchmarks/rejection.py --model saved_models/touch-kana

The characters are those that people drew with a pen (`tomoe`); the others are scribbles of seeds that nothing was
trained on, and Latin letters, which are no scribbles and were never shown as such. What is refused first is what gets
the highest probability of being no character.

Last line: JSON with the shares `kept`, `accuracy_of_kept`, `scribbles_rejected` and `letters_rejected`, and the
`threshold` of that probability; and the same, `shipped_...`, at the threshold that the recognizer's card names.
"""

import json
import string
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.datasets.drawn.kana import forms_of
from kuzushiji_tf.datasets.drawn.scribbles import draw_scribbles
from kuzushiji_tf.datasets.registry import LoadOptions, load_dataset
from kuzushiji_tf.evaluation.scoring import match_classes
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.recognition.readings import Repertoire

SCRIBBLE_SEED = 987_654_321  # far from those of training and testing
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
LETTER_PIXELS = 96


@dataclass(frozen=True)
class Flags:
    """What is measured, on how much."""

    model: Path = Path("saved_models/touch-kana")  # an exported folder whose classes end in the unknown one
    file: str = "int8"  # float32, float16 or int8
    kept: float = 0.95  # share of real characters that must not be refused
    scribbles: int = 2000
    data_dir: Path | None = None  # where tomoe's file is


def letters(size: int) -> np.ndarray:
    """Return every Latin letter in six fonts, uint8 `[312, size, size]`, normalized as a recognizer does it."""
    images = []
    for family in FONTS:
        for weight in ("normal", "bold"):
            path = font_manager.findfont(font_manager.FontProperties(family=family, weight=weight))
            font = ImageFont.truetype(path, LETTER_PIXELS)
            for letter in string.ascii_letters:
                picture = Image.new("L", (2 * LETTER_PIXELS, 2 * LETTER_PIXELS))
                ImageDraw.Draw(picture).text((LETTER_PIXELS / 2, LETTER_PIXELS / 4), letter, fill=255, font=font)
                images.append(fit_image(np.asarray(picture), size, box=True))
    return np.rint(np.stack(images)).astype(np.uint8)


def main(flags: Flags) -> None:
    """Measure, print the table and, as the last line, the JSON object."""
    predictor = load_predictor(flags.model, flags.file)
    unknown, size = predictor.labels.index_of(UNKNOWN), predictor.image_size[0]
    drawn, _, _ = match_classes(load_dataset("tomoe", "test", LoadOptions(flags.data_dir, size)), predictor.labels)
    models = [form.strokes for character in predictor.labels if character != UNKNOWN for form in forms_of(character)]
    scribbles = draw_scribbles(flags.scribbles, (SCRIBBLE_SEED,), size, models)
    probabilities = predictor.predict(drawn.images)
    others = {"scribbles": scribbles, "letters": letters(size)}
    refused = {name: predictor.predict(images)[:, unknown] for name, images in others.items()}
    refusal = probabilities[:, unknown].copy()
    probabilities[:, unknown] = 0
    right = probabilities.argmax(axis=1) == drawn.labels

    def at(threshold: float) -> dict[str, float]:
        kept = refusal < threshold
        shares = {f"{name}_rejected": float((values >= threshold).mean()) for name, values in refused.items()}
        kept_right = float(right[kept].mean())
        return {"kept": float(kept.mean()), "threshold": threshold, "accuracy_of_kept": kept_right, **shares}

    allowed = float(np.nextafter(np.quantile(refusal, flags.kept, method="higher"), np.float32(1)))
    shipped = at(Repertoire(predictor).threshold)
    result = at(allowed) | {f"shipped_{name}": value for name, value in shipped.items()}
    print(f"{flags.model}, {flags.file}: {len(drawn):,} drawn characters, {flags.scribbles:,} scribbles, 312 letters")
    print("\n".join(f"  {name:28}{value:10.4f}" for name, value in result.items()))
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
