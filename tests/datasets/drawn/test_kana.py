import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn import kana
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import UserError
from kuzushiji_tf.ink.strokes import normalize

SMALL = LoadOptions(per_class=4, seed=5)


def test_all_hiragana_and_katakana_are_drawn():
    both = load_dataset("hiragana+katakana", "train", SMALL)
    assert len(both) == 142 * 4 and len(both.classes) == 142
    assert "".join(both.classes).startswith("あいうえおかきく") and "".join(both.classes).endswith("ピプペポ")
    assert {"を", "ん", "が", "ぽ", "ヲ", "ン", "ヂ", "パ"} <= set(both.classes)
    assert both.labels.tolist() == [index for index in range(142) for _ in range(4)]
    assert both.images.dtype == np.uint8 and both.image_size == (32, 32)
    assert both.licence == "CC BY-SA 3.0" and both.credit == "KanjiVG, copyright Ulrich Apel"
    amount = both.images.mean(axis=(1, 2))
    assert amount.min() > 5 and amount.max() < 130, "ink, but not too much of it"
    assert (both.images[:, 0].max(axis=1) > 200).mean() < 0.01, "a margin is left free, but for a blot"


@pytest.mark.parametrize("name", ["kana", "touch-kana"])
def test_what_a_program_draws_says_so(name):
    drawn = load_dataset(name, "test", LoadOptions(per_class=1, stroke_size=16, classes="あ"))
    assert (drawn.ink, drawn.normalization, drawn.image_size) == ("synthetic", "ink-box", (16, 16))


def test_hiragana_and_katakana_alone_are_the_same_images_as_both_together():
    both = load_dataset("hiragana+katakana", "train", SMALL).images
    np.testing.assert_array_equal(load_dataset("kana", "train", SMALL).images, both[: 71 * 4])
    np.testing.assert_array_equal(load_dataset("katakana", "train", SMALL).images, both[71 * 4 :])


def test_an_image_depends_on_seed_split_and_index_alone():
    few = kana.draw_characters("あぎ", 3, (7, 0), 32)
    many = kana.draw_characters("ぎあ", 300, (7, 0), 32)
    np.testing.assert_array_equal(few[:3], many[300:303])
    np.testing.assert_array_equal(few[3:], many[:3])
    for entropy in ((8, 0), (7, 1)):
        assert (kana.draw_characters("あぎ", 3, entropy, 32) != few).any(axis=(1, 2)).all()


def test_no_two_drawings_of_a_character_are_alike():
    images = kana.draw_characters("い", 400, (0, 0), 32)
    assert len(np.unique(images, axis=0)) == 400


def test_a_wanted_size_is_drawn_and_not_resized():
    small = load_dataset("kana", "train", SMALL).images
    large = load_dataset("kana", "train", replace(SMALL, image_size=64)).images
    assert large.shape == (71 * 4, 64, 64)
    shrunk = large.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.abs(shrunk - small).mean() < 12, "the same drawings"
    sharpness = [np.abs(np.diff(images.astype(int), axis=2)).max(axis=(1, 2)).mean() for images in (small, large)]
    assert sharpness[1] > 0.6 * sharpness[0], "edges as sharp as at the other size"


def test_the_mean_drawing_is_the_character():
    """Averaged over many drawings, each character resembles its own model more than any other's."""
    characters = kana.HIRAGANA[:46]
    means = kana.draw_characters(characters, 60, (0, 0), 32).reshape(46, 60, -1).mean(axis=1)
    plain = kana.draw_characters(characters, 1, (0, 0), 32, kana.Hands(kana.Variation().scaled(0.0))).reshape(46, -1)
    similarity = np.corrcoef(means, plain)[:46, 46:]
    assert (similarity.argmax(axis=1) == np.arange(46)).mean() > 0.8


def test_variants_are_valid_and_leave_room_for_the_model():
    table = json.loads(kana.VARIANTS_FILE.read_text(encoding="utf-8"))["variants"]
    assert {"そ", "き", "さ", "ふ", "り"} <= table.keys() <= {*kana.HIRAGANA[:46], *"シソン〇・「」"}
    for character in table.keys() - set("〇・「」"):
        entries, forms = table[character], kana.forms_of(character)
        assert len(forms) == len(entries) + 1 and all(entry["form"] for entry in entries)
        assert 0.2 <= forms[0].weight < 1 and sum(form.weight for form in forms) == pytest.approx(1)
        for form in forms[1:]:
            points = np.concatenate(form.strokes)
            assert points.min() >= 0 and points.max() <= 1 and np.ptp(points, axis=0).max() > 0.5


def test_voiced_characters_take_over_the_forms_of_their_base():
    for voiced, base, marks in (("ぞ", "そ", 2), ("ぎ", "き", 2), ("ぷ", "ふ", 1), ("ぶ", "ふ", 2)):
        forms, base_forms = kana.forms_of(voiced), kana.forms_of(base)
        assert [form.weight for form in forms] == [form.weight for form in base_forms]
        for form, base_form in zip(forms, base_forms, strict=True):
            assert form.marks == marks and len(form.strokes) == len(base_form.strokes) + marks
            own, expected = normalize(form.strokes[:-marks]), normalize(base_form.strokes)
            if form is not forms[0]:
                for stroke, other in zip(own, expected, strict=True):
                    np.testing.assert_allclose(stroke, other, atol=0.12)
    assert kana.forms_of("ガ")[0].marks == 2 and kana.forms_of("か")[0].marks == 0


def test_kanji_are_drawn_as_printed_and_as_the_hand_writes_them():
    forms = kana.forms_of("終")
    assert [form.weight for form in forms] == [0.5, 0.5]
    drawn = [kana.draw_handwriting([form], 1, [0], 64, kana.Variation().scaled(0.0)) for form in forms]
    assert np.abs(drawn[0].astype(int) - drawn[1]).mean() > 5
    assert len(kana.forms_of("一")) == 1


def test_any_kanji_of_kanjivg_can_be_drawn_and_others_are_refused():
    assert kana.draw_characters("永", 2, (0, 1), 40).shape == (2, 40, 40)
    with pytest.raises(UserError, match="KanjiVG"):
        kana.draw_characters("☃", 2, (0, 1), 40)


def test_drawing_needs_no_tensorflow():
    code = (
        "import sys; from kuzushiji_tf.datasets import load_dataset; "
        "from kuzushiji_tf.datasets.registry import LoadOptions; "
        "load_dataset('kana', 'train', LoadOptions(per_class=1)); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
