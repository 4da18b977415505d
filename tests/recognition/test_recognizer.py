"""Any readable picture, and any strokes, give ranked characters; anything else gives one sentence."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.datasets.tomoe import load_tomoe_strokes
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.ink.normalization import draw_ink, draw_strokes
from kuzushiji_tf.ink.strokes import PEN_WIDTH, as_strokes, resample
from kuzushiji_tf.recognition.cards import read_card
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.recognition.readings import Candidate
from kuzushiji_tf.recognition.recognizer import Recognizer
from tests.making import png_claiming
from tests.tiny import SIZE, trained, write_run

pytest_plugins = ["tests.exported"]


@pytest.fixture(scope="module")
def recognizer(exported) -> Recognizer:
    return Recognizer(exported)


STROKES = [[[10, 20], [50, 20]], [[30, 0, 16], [30, 60, 24]], [[48, 50]]]
SHIPPED = Path(__file__).parents[2] / "saved_models" / "kana"


def answering(tmp_path: Path, normalization: str = "ink-box", **probabilities: float) -> Recognizer:
    """Return a recognizer that answers any image with the same probabilities; `unknown` stands for no character."""
    classes = Labels(tuple("\ufffd" if name == "unknown" else name for name in probabilities))
    answer = np.array(list(probabilities.values()), np.float32)
    recognizer = Recognizer.__new__(Recognizer)
    recognizer.predictor = Predictor(
        tmp_path / "model.tflite",
        classes,
        (SIZE, SIZE),
        normalization,
        lambda images: np.tile(answer, (len(images), 1)),
    )
    return recognizer


def ranked(candidates: list[Candidate]) -> str:
    return "".join(candidate.character for candidate in candidates)


def test_the_characters_come_ranked_with_code_point_and_probability(recognizer, learned):
    dataset, _ = learned
    image = dataset.images[3]
    candidates = recognizer.recognize(image, top_k=10, polarity="light")
    probabilities = [candidate.probability for candidate in candidates]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-4)
    assert {candidate.character for candidate in candidates} == set(dataset.classes)
    assert all(candidate.code_point == f"U+{ord(candidate.character):04X}" for candidate in candidates)
    assert len(recognizer.recognize(image, top_k=3)) == 3
    assert len(recognizer.recognize(image, top_k=99)) == 10


def test_real_characters_are_read_the_same_from_any_kind_of_picture(data_dir, tmp_path):
    train = load_dataset("kmnist", "train", LoadOptions(data_dir)).select(np.arange(3000))
    run = write_run(tmp_path / "run", trained(train, epochs=2), train)
    reader = Recognizer(run.path, file="final")
    test = load_dataset("kmnist", "test", LoadOptions(data_dir)).select(np.arange(100))
    probabilities = reader.predictor.predict(test.images)
    sure = np.flatnonzero(probabilities.max(axis=1) > 0.9)[:40]  # of the others any rounding may change the reading
    assert len(sure) == 40
    same = 0
    for row in sure:
        image, character = test.images[row], test.classes[probabilities[row].argmax()]
        ink = Image.fromarray(image)
        paper = Image.fromarray(255 - image).resize((140, 140), Image.Resampling.BICUBIC)
        tinted = Image.merge("RGB", [paper, paper, paper.point(lambda level: level * 3 // 4)])
        paper.save(tmp_path / "character.jpg", quality=90)
        pictures = (ink, paper, tinted, tmp_path / "character.jpg", str(tmp_path / "character.jpg"))
        same += sum(reader.recognize(picture, top_k=1)[0].character == character for picture in pictures)
    assert same >= 0.95 * 5 * len(sure)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"])
def test_every_kind_of_pixel_is_understood(recognizer, drawing, mode):
    plain = recognizer.recognize(drawing)
    if mode in ("I", "I;16", "F"):
        picture = Image.fromarray(drawing.astype({"I": np.int32, "I;16": np.uint16, "F": np.float32}[mode]) * 200)
    else:
        picture = Image.fromarray(drawing).convert(mode)
    assert picture.mode == mode
    for candidate, other in zip(plain, recognizer.recognize(picture), strict=True):
        assert candidate.character == other.character
        assert candidate.probability == pytest.approx(other.probability, abs=1e-3)


def test_what_is_transparent_is_paper(recognizer, drawing):
    ink = np.zeros((*drawing.shape, 4), np.uint8)
    ink[..., 3] = drawing
    assert recognizer.recognize(ink) == recognizer.recognize(255 - drawing)
    ink[..., :3] = 255
    assert recognizer.recognize(ink, polarity="light") == recognizer.recognize(drawing)


def test_a_picture_stored_on_its_side_is_turned_upright(recognizer, drawing, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    Image.fromarray(drawing).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    assert recognizer.recognize(tmp_path / "turned.png") == recognizer.recognize(drawing)


def test_a_photograph_larger_than_needed_is_shrunk_first(recognizer, drawing, tmp_path):
    Image.fromarray(drawing).resize((2400, 3600), Image.Resampling.NEAREST).save(tmp_path / "large.png")
    large, small = recognizer.recognize(tmp_path / "large.png"), recognizer.recognize(drawing)
    assert large[0].character == small[0].character
    assert large[0].probability == pytest.approx(small[0].probability, abs=0.05)


def test_where_the_ink_is_does_not_matter_and_a_margin_is_left_for_a_recognizer_that_wants_it(drawing):
    seen = []

    def run(images):
        seen.append(images[0])
        return np.full((1, 2), 0.5, np.float32)

    reader = Recognizer.__new__(Recognizer)
    for normalization in ("ink-box", "none"):
        reader.predictor = Predictor(Path("model"), Labels(("あ", "い")), (SIZE, SIZE), normalization, run)
        for shift in (0, 5):
            reader.recognize(np.roll(drawing, shift, axis=0), polarity="light")
    assert np.array_equal(seen[0], seen[1]) and np.array_equal(seen[2], seen[3])
    assert seen[0][0].max() < 100 < seen[2][0].max()


@pytest.mark.parametrize("pixels", [(8000, 7000), (10_000, 12_000), (60_000, 60_000)])
@pytest.mark.filterwarnings("error")
def test_a_small_file_that_claims_to_be_huge_is_refused(recognizer, tmp_path, pixels):
    (tmp_path / "bomb.png").write_bytes(png_claiming(*pixels))
    with pytest.raises(UserError, match=r"bomb\.png .*50,000,000 pixels"):
        recognizer.recognize(tmp_path / "bomb.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_text_nothing_and_halves_under_the_name_of_an_image_are_refused(recognizer, drawing, tmp_path, kind):
    path = tmp_path / f"image.{kind}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"this is a text\n" * 9, whole[:20], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"image\.{kind}") as caught:
            recognizer.recognize(path)
        assert "\n" not in str(caught.value)


def test_damaged_bytes_never_raise_anything_but_a_user_error(recognizer, tmp_path):
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (40, 40)).astype(np.uint8))
    for kind in ("png", "jpg", "gif", "tiff"):
        noise.save(tmp_path / f"whole.{kind}")
        content = np.frombuffer((tmp_path / f"whole.{kind}").read_bytes(), np.uint8)
        for _ in range(40):
            damaged = content.copy()
            damaged[random.integers(0, len(damaged), 5)] = random.integers(0, 256, 5)
            (tmp_path / f"damaged.{kind}").write_bytes(damaged.tobytes())
            try:
                assert recognizer.recognize(tmp_path / f"damaged.{kind}")
            except UserError as error:
                assert "\n" not in str(error)


def test_missing_files_folders_blank_images_and_bad_requests_are_told_apart(recognizer, drawing, tmp_path):
    Image.new("RGB", (30, 30), "white").save(tmp_path / "blank.png")
    with pytest.raises(MissingFileError, match=r"absent\.png"):
        recognizer.recognize(tmp_path / "absent.png")
    for image, options, message in (
        (tmp_path, {}, "folder"),
        (tmp_path / "blank.png", {}, r"blank\.png .*no ink"),
        (np.zeros((5, 5), np.uint8), {}, "no ink"),
        (drawing, {"top_k": 0}, "top_k is 0"),
        (drawing, {"polarity": "blue"}, "auto, dark or light"),
        (drawing.astype(np.float64), {}, "uint8"),
    ):
        with pytest.raises(UserError, match=message):
            recognizer.recognize(image, **options)
    for options in ({}, {"image": drawing, "strokes": STROKES}):
        with pytest.raises(UserError, match="image or strokes"):
            recognizer.recognize(**options)


def test_strokes_are_read_as_the_image_that_the_ink_draws(recognizer):
    size = recognizer.predictor.image_size[0]
    expected = recognizer.predictor.predict(draw_ink(STROKES, size)[np.newaxis])[0]
    for candidate in recognizer.recognize(strokes=STROKES, top_k=10):
        assert candidate.probability == pytest.approx(
            expected[recognizer.predictor.labels.index_of(candidate.character)]
        )
    arrays = [np.array([point[:2] for point in stroke], np.float32) * 3 + 7 for stroke in STROKES]
    for candidate, other in zip(
        recognizer.recognize(strokes=STROKES), recognizer.recognize(strokes=arrays), strict=True
    ):
        assert candidate.character == other.character
        assert candidate.probability == pytest.approx(other.probability, abs=1e-3), "unit, place and time do not matter"


@pytest.mark.parametrize("strokes", [[], [[]], [[[float("nan"), 1]]], [[[1]]], 5, [[[1, 2]]] * 1000])
@pytest.mark.parametrize("canvas", [None, (9, 9)])
def test_strokes_without_ink_are_refused(recognizer, strokes, canvas):
    with pytest.raises(UserError, match=r"^strokes: [^\n]*\.$"):
        recognizer.recognize(strokes=strokes, canvas=canvas)


def test_a_canvas_is_one_of_strokes(recognizer, drawing):
    with pytest.raises(UserError, match="canvas belongs to strokes"):
        recognizer.recognize(drawing, canvas=(9, 9))


def test_one_script_shares_out_the_probability_of_the_others(tmp_path):
    reader = answering(tmp_path, あ=0.5, ア=0.2, 亜=0.2, ん=0.1)
    assert ranked(reader.recognize(strokes=STROKES)) == "あア亜ん"
    candidates = reader.recognize(strokes=STROKES, script="hiragana")
    assert ranked(candidates) == "あん"
    assert [candidate.probability for candidate in candidates] == pytest.approx([5 / 6, 1 / 6])
    (only,) = reader.recognize(strokes=STROKES, script="katakana")
    assert only == Candidate("ア", "U+30A2", pytest.approx(1.0)) and only.probability <= 1


def test_a_script_without_any_probability_is_still_answered(tmp_path):
    candidates = answering(tmp_path, あ=1.0, ア=0.0).recognize(strokes=STROKES, script="katakana")
    assert [(candidate.character, candidate.probability) for candidate in candidates] == [("ア", 0.0)]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kanij", "'kanij'.*'kanji'"),
        ("kanji", r"no kanji.* 2 characters"),
        ("other", r"no digit, .* 2 characters"),
    ],
)
def test_unknown_scripts_and_those_without_a_class_are_refused(tmp_path, script, message):
    with pytest.raises(UserError, match=message):
        answering(tmp_path, あ=0.5, ア=0.5).recognize(strokes=STROKES, script=script)


def test_look_alikes_stand_together_where_their_sum_puts_them(tmp_path):
    reader = answering(tmp_path, あ=0.35, 力=0.3, ん=0.1, カ=0.2, へ=0.01, ヘ=0.04)
    candidates = reader.recognize(strokes=STROKES, top_k=9)
    assert ranked(candidates) == "力カあんヘへ"
    assert [candidate.probability for candidate in candidates] == pytest.approx([0.3, 0.2, 0.35, 0.1, 0.04, 0.01])
    assert ranked(reader.recognize(strokes=STROKES, top_k=1)) == "力"
    assert ranked(reader.recognize(strokes=STROKES, script="hiragana")) == "あんへ"


def test_small_kana_count_for_their_large_forms_where_size_is_normalized_away(tmp_path):
    probabilities = {"つ": 0.3, "あ": 0.4, "っ": 0.25, "ょ": 0.05}
    candidates = answering(tmp_path, **probabilities).recognize(strokes=STROKES)
    assert ranked(candidates) == "つあよ" and candidates[2].code_point == "U+3088"
    assert candidates[0].probability == pytest.approx(0.55)
    assert ranked(answering(tmp_path, "none", **probabilities).recognize(strokes=STROKES)) == "あつっょ"


def at(x: float, y: float, side: float) -> list:
    """Return strokes whose box has its middle at (x, y) and that side, in a pad of 1 x 1."""
    return [[[x - side / 2, y - side / 2], [x + side / 2, y + side / 2]]]


FULL, LOWER_LEFT, UPPER_RIGHT = at(0.5, 0.5, 0.75), at(0.3, 0.7, 0.4), at(0.7, 0.3, 0.4)
PAD = (1, 1)


def test_a_small_kana_in_a_corner_of_the_pad_comes_first_and_a_large_one_is_offered_too(tmp_path):
    reader = answering(tmp_path, つ=0.7, ア=0.2, ん=0.1)
    for corner in (LOWER_LEFT, UPPER_RIGHT):
        candidates = reader.recognize(strokes=corner, canvas=PAD)
        assert ranked(candidates) == "っァんつア"
        assert candidates[0].code_point == "U+3063" and candidates[0].probability > 0.9 * 0.7
    assert ranked(reader.recognize(strokes=FULL, canvas=PAD)) == "つアんっァ"
    assert ranked(reader.recognize(strokes=at(0.5, 0.5, 0.35), canvas=PAD)) == "つっアァん", "which may be either"
    assert ranked(reader.recognize(strokes=LOWER_LEFT)) == "つアん", "without a pad nothing is known of the size"


@pytest.mark.parametrize("strokes", [FULL, LOWER_LEFT, at(0.5, 0.5, 0.3)])
@pytest.mark.parametrize("canvas", [None, PAD])
def test_all_readings_together_have_what_no_character_was_not_given(tmp_path, strokes, canvas):
    classes = {"つ": 0.1, "カ": 0.1, "力": 0.2, "〇": 0.1, "0": 0.1, "。": 0.05, "一": 0.1, "unknown": 0.25}
    reading = answering(tmp_path, **classes).read(strokes=strokes, canvas=canvas)
    assert reading.probabilities.sum() == pytest.approx(0.75)
    candidates = reading.candidates(99)
    offered = {candidate.character: candidate.probability for candidate in candidates}
    assert sum(offered.values()) == pytest.approx(0.75)
    assert offered["つ"] + offered.get("っ", 0) == pytest.approx(0.1)
    assert offered["カ"] + offered["力"] + offered.get("ヵ", 0) == pytest.approx(0.3)
    assert offered["一"] + offered["ー"] == pytest.approx(0.1)


def test_a_mark_is_a_class_of_its_own_or_read_from_the_shapes_that_it_shares(tmp_path):
    for classes in ({"〇": 0.3, "0": 0.3, "O": 0.4}, {"〇": 0.3, "O": 0.4, "。": 0.3}, {"〇": 0.9, "。": 0.1}):
        reader = answering(tmp_path, A=0.0, **classes)
        assert ranked(reader.recognize(strokes=at(0.2, 0.8, 0.2), canvas=PAD, top_k=1)) == "。"
        assert ranked(reader.recognize(strokes=FULL, canvas=PAD, top_k=1)) == max(classes, key=classes.get)
        plain = ranked(reader.recognize(strokes=FULL))
        assert plain[0] != "。" and "。" in plain


def test_a_line_is_the_long_vowel_mark_where_katakana_are_asked_for(tmp_path):
    reader = answering(tmp_path, 一=0.7, ノ=0.2, 十=0.1)
    assert ranked(reader.recognize(strokes=FULL)) == "一ーノ十"
    assert [(each.character, each.probability) for each in reader.recognize(strokes=FULL, script="katakana")] == [
        ("ー", pytest.approx(7 / 9)),
        ("ノ", pytest.approx(2 / 9)),
    ]
    assert ranked(reader.recognize(strokes=FULL, script="kanji")) == "一十"
    both = answering(tmp_path, 一=0.2, ー=0.8).recognize(strokes=FULL, canvas=PAD)
    assert [candidate.probability for candidate in both] == pytest.approx([0.8, 0.2]), "size says nothing of a line"


def test_a_variant_is_offered_by_recognizers_of_its_script_whose_drawings_have_lost_their_size(tmp_path):
    assert ranked(answering(tmp_path, 一=0.9, 十=0.1).recognize(strokes=FULL, canvas=PAD)) == "一十"
    scanned = answering(tmp_path, "none", **{"。": 0.3, "一": 0.4, "〇": 0.2, "ノ": 0.1})
    assert ranked(scanned.recognize(strokes=LOWER_LEFT, canvas=PAD)) == "。〇一ノ"


def test_digits_and_letters_are_among_all_and_can_be_asked_for(tmp_path):
    reader = answering(tmp_path, **{"1": 0.4, "丨": 0.5, "A": 0.1})
    assert ranked(reader.recognize(strokes=STROKES)) == "丨1A"
    assert ranked(reader.recognize(strokes=STROKES, script="other")) == "1A"


def test_what_is_no_character_is_told_and_is_no_candidate(tmp_path):
    reading = answering(tmp_path, あ=0.3, unknown=0.6, ア=0.1).read(strokes=STROKES)
    assert not reading.is_character and reading.unknown == pytest.approx(0.6)
    candidates = reading.candidates()
    assert ranked(candidates) == "あア"
    assert [candidate.probability for candidate in candidates] == pytest.approx([0.3, 0.1])
    (only,) = reading.candidates(script="katakana")
    assert only.probability == pytest.approx(0.4), "what was given to no character stays there"
    assert answering(tmp_path, あ=0.7, unknown=0.3).read(strokes=STROKES).is_character
    plain = answering(tmp_path, あ=0.01, ア=0.01).read(strokes=STROKES)
    assert plain.is_character and plain.unknown == 0


def test_the_card_says_which_class_is_no_character_and_from_when_on(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    card = read_card(folder)
    written, probability = {}, Recognizer(exported).recognize(strokes=STROKES, top_k=1)[0]
    for threshold in (0.0, 1.1):
        write_json(folder / "model.json", card | {"unknown": {"character": "お", "threshold": threshold}})
        written[threshold] = Recognizer(folder).read(strokes=STROKES)
    assert [reading.is_character for reading in written.values()] == [False, True]
    assert "お" not in ranked(written[0.0].candidates(99)) and len(written[0.0].candidates(99)) == 9
    assert probability.character in ranked(written[0.0].candidates(1)) + "お"
    write_json(folder / "model.json", card | {"unknown": {"threshold": "high"}})
    with pytest.raises(UserError, match=r"unknown .*threshold"):
        Recognizer(folder).recognize(strokes=STROKES)


def test_people_are_read_and_their_small_drawings_in_whole_pixels_too(data_dir):
    reader = Recognizer(SHIPPED, file="int8")
    size, labels = reader.predictor.image_size[0], reader.predictor.labels
    drawings = [drawing for drawing in load_tomoe_strokes(data_dir) if drawing.character in labels]
    small = [[np.round(resample(stroke, 40) / 8) for stroke in drawing.strokes] for drawing in drawings]

    def right(images):
        best = reader.predictor.predict(np.stack(images)).argmax(axis=1)
        return sum(labels[row] == drawing.character for row, drawing in zip(best, drawings, strict=True))

    assert len(drawings) == 47
    assert right([draw_ink(drawing.strokes, size) for drawing in drawings]) == 47
    cleaned = right([draw_ink(strokes, size) for strokes in small])
    as_they_came = right([draw_strokes(as_strokes(strokes), size, PEN_WIDTH * size) for strokes in small])
    assert cleaned >= max(46, as_they_came)


def test_an_exported_recognizer_runs_without_tensorflow(exported, drawing, tmp_path):
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    program = (
        "import sys\nfrom kuzushiji_tf.recognition.recognizer import Recognizer\n"
        f"print(Recognizer({str(exported)!r}, file='int8').recognize({str(tmp_path / 'drawing.png')!r})[0].character)\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    character, imported = done.stdout.splitlines()
    assert character in "おきすつなはまやれを"
    assert imported == "set()"
