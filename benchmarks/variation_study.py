"""Which variations of drawn handwriting read people best? Train on drawn kana, read kana of people nobody tuned to.

    python benchmarks/variation_study.py                  # about 2 minutes a setting on one core
    python benchmarks/variation_study.py --settings default "no fonts" --per-class 900

Each setting trains the same small network, for one pass, on the same number of drawings of the 147 kana, and reads the
sets of `hands/` and the kana of `tomoe`, the script being known: top-1 and the mean negative log-likelihood, which says
more where few are misread. `docs/handwriting.md` has the table that came out. Needs the fonts of
`recipes/touch-kana.toml`, but for "no fonts".

Last line: JSON, `<setting>_<set>_<script>_top1` and `_loss`.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from kuzushiji_tf.characters.scripts import fold_small, in_script
from kuzushiji_tf.config.recipes import load_recipe
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn.fonts import is_font, open_fonts
from kuzushiji_tf.datasets.drawn.kana import Hands, draw_characters
from kuzushiji_tf.datasets.drawn.touch import KANA
from kuzushiji_tf.datasets.drawn.variation import Variation
from kuzushiji_tf.ink.normalization import fit_image

DEFAULT = Variation()
FONTS = "no fonts"  # the one setting that takes something else away than a variation
PLAIN = {"brush": 0.0, "grain": 0.0, "scan": 0.0}
SETTINGS = {
    "default": DEFAULT,
    FONTS: DEFAULT,
    "plain ink": replace(DEFAULT, **PLAIN),
    "every hand alike": replace(DEFAULT, carelessness=(1.0, 1.0)),
    "neater hands": replace(DEFAULT, carelessness=(0.4, 2.2)),
    "no tremor, parts, serifs": replace(DEFAULT, tremor=0.0, part_shift=0.0, part_scale=0.0, serif=0.0),
    "fewer serifs": replace(DEFAULT, serif=0.1),
    "one and a third": DEFAULT.scaled(1.33),
    "two thirds": DEFAULT.scaled(0.67),
}
SIZE = 48
SCRIPTS = ("hiragana", "katakana")


def main() -> None:
    """Run the study and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--per-class", type=int, default=450, help="drawings of each kana, each seen once")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tests = hands()
    fonts = open_fonts([form for form in load_recipe("recipes/touch-kana.toml").forms if is_font(form)], SIZE)
    print(f"{'setting':26}" + "".join(f"{name:>20}" for name in tests) + f"{'seconds':>9}")
    results = {}
    for name in arguments.settings:
        start = time.perf_counter()
        who = Hands(SETTINGS[name], () if name == FONTS else fonts)
        images = draw_characters(KANA, arguments.per_class, (arguments.seed, 0), SIZE, who)
        predict = train(images, arguments.seed)
        scores = {test: score(predict(pictures), labels) for test, (pictures, labels) in tests.items()}
        row = "".join(f"{100 * top1:13.1f}{loss:7.3f}" for top1, loss in scores.values())
        print(f"{name:26}{row}{time.perf_counter() - start:9.0f}", flush=True)
        for test, (top1, loss) in scores.items():
            results |= {f"{name}_{test}_top1": top1, f"{name}_{test}_loss": loss}
    print(json.dumps(results))


def hands() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return images uint8 `[n, SIZE, SIZE]` and labels `[n]` of each set and script that has a few."""
    folder, found = Path(os.environ["KUZUSHIJI_DATA"]) / "hands", {}
    for name, split in (("omniglot", "all"), ("mediotaku", "all"), ("ndl-hiragana", "test"), ("tomoe", "test")):
        dataset = load_dataset(name if name == "tomoe" else folder / f"{name}.npz", split, stroke_size=SIZE)
        labels = np.array([KANA.find(fold_small(character)) for character in dataset.classes])[dataset.labels]
        for script in SCRIPTS:
            rows = np.flatnonzero([label >= 0 and in_script(KANA[label], script) for label in labels])
            if len(rows) > 20:
                images = [np.rint(fit_image(dataset.images[row], SIZE, box=True)) for row in rows]
                found[f"{name.split('-')[0]}_{script}"] = np.stack(images).astype(np.uint8), labels[rows]
    return found


def train(images: np.ndarray, seed: int):
    """Train a small network for one pass; return a function from images to logits float64 `[n, kana]`."""
    import keras

    from kuzushiji_tf.models import build_model

    model = build_model("small_cnn", SIZE, len(KANA), seed, "bfloat16")
    labels = np.repeat(np.arange(len(KANA)), len(images) // len(KANA))
    order = np.random.default_rng(seed).permutation(len(images))
    steps = len(images) // 128
    rate = keras.optimizers.schedules.CosineDecay(0.0, steps, 0.0, warmup_target=0.15, warmup_steps=steps // 10)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=5e-4), loss)
    model.fit(images[order, ..., np.newaxis], labels[order], batch_size=128, shuffle=False, verbose=0)
    return lambda pictures: model.predict(pictures[..., np.newaxis], batch_size=512, verbose=0).astype(np.float64)


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return top-1 and mean loss among the characters of the script that the first label is of."""
    script = next(script for script in SCRIPTS if in_script(KANA[labels[0]], script))
    logits = np.where([in_script(character, script) for character in KANA], logits, -np.inf)
    own = logits[np.arange(len(labels)), labels]
    return float((logits.argmax(axis=1) == labels).mean()), float((np.logaddexp.reduce(logits, axis=1) - own).mean())


if __name__ == "__main__":
    main()
