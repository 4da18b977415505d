"""What recognizers refuse as no character, at the threshold that each ships with: of real hands, and of all else.

    python benchmarks/rejection.py --models saved_models/kmnist saved_models/kkanji

Real characters, none of which anything was trained on: people's hands for what draws its training images (`tomoe`,
and `omniglot`, `mediotaku` and the held-out part of `ndl-hiragana` from the folder `hands`), the data set's own test
images for others. They should be let through. Scribbles of seeds that nothing was trained on should not, nor what is
not Japanese: letters of scripts and pieces of photos that no training shows, and noise. Latin letters and digits are
not among these: Japanese is written with them.

Every picture is looked at as `predict` does it. What is not installed or not found is named and left out.

Last line: JSON. `<recognizer>_<set>_refused`, a share; `<recognizer>_<set>_threshold`, from which on one in a hundred
is refused; `<recognizer>_scribbles_rejected`, `<recognizer>_foreign_rejected`, and its parts, such as
`<recognizer>_thai_rejected`; `<recognizer>_threshold`, the one that ships; `missing`.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import sklearn.datasets
import tyro
from PIL import Image, ImageDraw, ImageFont

from kuzushiji_tf.characters.labels import UNKNOWN
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn.scribbles import draw_scribbles
from kuzushiji_tf.datasets.kanjivg import load_strokes
from kuzushiji_tf.datasets.locations import user_folder
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError
from kuzushiji_tf.evaluation.scoring import fit_images, match_classes
from kuzushiji_tf.ink.normalization import fit_image
from kuzushiji_tf.ink.pictures import to_ink
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.recognition.predictors import Predictor, load_predictor
from kuzushiji_tf.recognition.readings import Repertoire

SEED = 987_654_321  # far from those of training and testing
REFUSABLE = 0.01  # of real characters
SCRIBBLED = "あかさたなはまやらわアカサタナハマヤラワ一二三山川田日月火水木金土人大小"
HANDS = {"omniglot": "all", "mediotaku": "all", "ndl-hiragana": "test"}  # and the split that is held out
TRUETYPE = Path("/usr/share/fonts/truetype")
# A Debian package, one of its fonts, and the letters: the first and the last.
SCRIPTS = {
    "thai": ("fonts-thai-tlwg", "tlwg/Garuda.ttf", "กฮ"),
    "devanagari": ("fonts-deva", "lohit-devanagari/Lohit-Devanagari.ttf", "कह"),
    "hangul": ("fonts-nanum", "nanum/NanumGothic.ttf", "가힣"),
    "tamil": ("fonts-taml", "lohit-tamil/Lohit-Tamil.ttf", "கஹ"),
    "ethiopic": ("fonts-sil-abyssinica", "abyssinica/AbyssinicaSIL-Regular.ttf", "ሀፖ"),
}
SIDE = 160  # pixels of the pictures


@dataclass(frozen=True)
class Flags:
    """What is measured, on how much."""

    models: tuple[Path, ...] = ()  # exported folders; default: those of saved_models/ with the class
    file: str = "int8"  # float32, float16 or int8
    scribbles: int = 1000
    foreign: int = 200  # pictures of each script and of each kind of what is not writing
    data_dir: Path | None = None  # where the real characters are; default: KUZUSHIJI_DATA


def letters(random: np.random.Generator, file: Path, ends: str, count: int) -> Iterator[Image.Image]:
    """Yield letters of a script, dark on paper, each in another size and a little askew."""
    codes = [code for code in range(ord(ends[0]), ord(ends[1]) + 1) if unicodedata.category(chr(code)) == "Lo"]
    for code in random.choice(codes, count):
        font = ImageFont.truetype(file, int(random.integers(60, 110)))
        picture = Image.new("L", (SIDE, SIDE), 245)
        ImageDraw.Draw(picture).text((SIDE / 2, SIDE / 2), chr(code), fill=20, font=font, anchor="mm")
        yield picture.rotate(random.uniform(-5, 5), Image.Resampling.BILINEAR, fillcolor=245)


def photos(random: np.random.Generator, count: int) -> Iterator[Image.Image]:
    """Yield pieces of the photos that come with scikit-learn and matplotlib."""
    samples = [Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images]
    samples.append(Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"))
    for _ in range(count):
        photo = samples[random.integers(len(samples))]
        side = int(random.integers(40, min(photo.size)))
        left, top = random.integers(0, photo.width - side + 1), random.integers(0, photo.height - side + 1)
        yield photo.crop((left, top, left + side, top + side)).convert("L").resize((SIDE, SIDE))


def noise(random: np.random.Generator, count: int) -> Iterator[Image.Image]:
    """Yield noise of other kinds than training shows: of walks in both directions, and of dots."""
    for number in range(count):
        values = random.normal(size=(SIDE, SIDE))
        if number % 2:
            values = values.cumsum(axis=0) - values.cumsum(axis=1)
        else:
            values = -1.0 * (random.random((SIDE, SIDE)) < random.uniform(0.02, 0.3))
        low, high = values.min(), values.max()
        yield Image.fromarray(np.rint(255 * (values - low) / (high - low)).astype(np.uint8))


def looked_at(pictures: list[Image.Image], predictor: Predictor) -> np.ndarray:
    """Return uint8 `[n, size, size]` as the recognizer gets them; what shows no ink is left black."""
    size, box = predictor.image_size[0], predictor.normalization == "ink-box"
    return np.stack([np.rint(fit_image(to_ink(picture), size, box)).astype(np.uint8) for picture in pictures])


def scribbles(predictor: Predictor, count: int) -> np.ndarray:
    """Return scribbles as a recognizer gets them, uint8 `[count, size, size]`."""
    drawn = draw_scribbles(count, (SEED,), SIDE, list(load_strokes(SCRIBBLED).values()))
    return looked_at([Image.fromarray(255 - image) for image in drawn], predictor)


def real_sets(card: dict, data_dir: Path | None) -> dict[str, tuple[str, str]]:
    """Return the real sets of a recognizer by name: what `load_dataset` calls them, and the split."""
    if not card["test"]["synthetic"]:
        return {card["test"]["dataset"]: (card["test"]["dataset"], "test")}
    folder = (user_folder(data_dir) or Path()) / "hands"
    return {"tomoe": ("tomoe", "test"), **{name: (str(folder / f"{name}.npz"), split) for name, split in HANDS.items()}}


class Measuring:
    """A recognizer, and what it says of pictures."""

    def __init__(self, folder: Path, flags: Flags):
        self.predictor, self.flags = load_predictor(folder, flags.file), flags
        self.card, self.threshold = read_card(folder), Repertoire(self.predictor).threshold
        self.unknown = self.predictor.labels.index_of(UNKNOWN)
        self.name, self.missing = folder.name, set()

    def results(self) -> dict[str, float]:
        found = {"threshold": self.threshold}
        for name, (dataset, split) in real_sets(self.card, self.flags.data_dir).items():
            try:
                loaded = load_dataset(dataset, split, LoadOptions(self.flags.data_dir, stroke_size=self.size))
            except MissingFileError:
                self.missing.add(name)
                continue
            refusal = self.refusal(fit_images(match_classes(loaded, self.predictor.labels)[0], self.predictor).images)
            found[f"{name}_refused"] = float((refusal >= self.threshold).mean())
            found[f"{name}_threshold"] = float(np.quantile(refusal, 1 - REFUSABLE, method="higher"))
        found["scribbles_rejected"] = self.rejected(scribbles(self.predictor, self.flags.scribbles))
        parts = {
            f"{kind}_rejected": self.rejected(looked_at(list(pictures), self.predictor))
            for kind, pictures in self.foreign()
        }
        return {**found, "foreign_rejected": float(np.mean(list(parts.values()))), **parts}

    @property
    def size(self) -> int:
        return self.predictor.image_size[0]

    def refusal(self, images: np.ndarray) -> np.ndarray:
        return self.predictor.predict(images)[:, self.unknown]

    def rejected(self, images: np.ndarray) -> float:
        is_blank = ~images.any(axis=(1, 2))  # "shows no ink"
        return float(((self.refusal(images) >= self.threshold) | is_blank).mean())

    def foreign(self) -> Iterator[tuple[str, Iterator[Image.Image]]]:
        for script, (package, file, ends) in SCRIPTS.items():
            if (TRUETYPE / file).exists():
                yield script, letters(np.random.default_rng(SEED), TRUETYPE / file, ends, self.flags.foreign)
            else:
                self.missing.add(f"{script} (apt-get install {package})")
        yield "photos", photos(np.random.default_rng(SEED), self.flags.foreign)
        yield "noise", noise(np.random.default_rng(SEED), self.flags.foreign)


def main(flags: Flags) -> None:
    """Measure, print a table of each recognizer and, as the last line, the JSON object."""
    cards = sorted(Path("saved_models").glob("*/labels.txt"))
    folders = flags.models or [file.parent for file in cards if UNKNOWN in file.read_text(encoding="utf-8")]
    result, missing = {}, set()
    for folder in folders:
        measuring = Measuring(folder, flags)
        found = measuring.results()
        print(f"{folder}, {flags.file}")
        print("".join(f"  {name:28}{value:8.4f}\n" for name, value in found.items()))
        result |= {f"{measuring.name}_{name}": value for name, value in found.items()}
        missing |= measuring.missing
    if missing:
        print(f"not found, and left out: {', '.join(sorted(missing))}")
    print(json.dumps(result | {"missing": sorted(missing)}, ensure_ascii=False))


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__.splitlines()[0]))
