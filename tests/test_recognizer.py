"""Any readable picture gives ranked characters; anything else gives one sentence."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.registry import LoadOptions
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.labels import Labels
from kuzushiji_tf.predictors import Predictor
from kuzushiji_tf.recognizer import Recognizer
from tests.making import png_claiming
from tests.tiny import SIZE, trained, write_run

pytest_plugins = ["tests.exported"]


@pytest.fixture(scope="module")
def recognizer(exported) -> Recognizer:
    return Recognizer(exported)


@pytest.fixture
def drawing() -> np.ndarray:
    """White ink on black, uint8 `[60, 40]`."""
    image = np.zeros((60, 40), np.uint8)
    image[10:50, 18:22] = 255
    image[20:24, 8:32] = 255
    return image


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
    test = load_dataset("kmnist", "test", LoadOptions(data_dir)).select(np.arange(40))
    expected = [test.classes[row] for row in reader.predictor.predict(test.images).argmax(axis=1)]
    same = 0
    for image, character in zip(test.images, expected, strict=True):
        ink = Image.fromarray(image)
        paper = Image.fromarray(255 - image).resize((140, 140), Image.Resampling.BICUBIC)
        tinted = Image.merge("RGB", [paper, paper, paper.point(lambda level: level * 3 // 4)])
        paper.save(tmp_path / "character.jpg", quality=90)
        pictures = (ink, paper, tinted, tmp_path / "character.jpg", str(tmp_path / "character.jpg"))
        same += sum(reader.recognize(picture, top_k=1)[0].character == character for picture in pictures)
    assert same >= 0.9 * 5 * len(test)


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


def test_the_ink_is_centered_for_a_recogniser_that_wants_it(drawing):
    seen = []

    def run(images):
        seen.append(images[0])
        return np.full((1, 2), 0.5, np.float32)

    reader = Recognizer.__new__(Recognizer)
    for normalization in ("ink-box", "none"):
        reader.predictor = Predictor(Path("model"), Labels(("あ", "い")), (SIZE, SIZE), normalization, run)
        for shift in (0, 5):
            reader.recognize(np.roll(drawing, shift, axis=0), polarity="light")
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[2], seen[3])


@pytest.mark.parametrize("pixels", [(8000, 7000), (10_000, 12_000), (60_000, 60_000)])
@pytest.mark.filterwarnings("error")
def test_a_small_file_that_claims_to_be_huge_is_refused(recognizer, tmp_path, pixels):
    (tmp_path / "bomb.png").write_bytes(png_claiming(*pixels))
    with pytest.raises(UserError, match=r"bomb\.png has more than 50,000,000 pixels"):
        recognizer.recognize(tmp_path / "bomb.png")


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_text_nothing_and_halves_under_the_name_of_an_image_are_refused(recognizer, drawing, tmp_path, kind):
    path = tmp_path / f"image.{kind}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50)).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    for content in (b"", b"this is a text\n" * 9, whole[:20], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"image\.{kind} is not an image that can be read") as caught:
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
    with pytest.raises(MissingFileError, match=r"There is no image .*absent\.png"):
        recognizer.recognize(tmp_path / "absent.png")
    for image, options, message in (
        (tmp_path, {}, "is a folder"),
        (tmp_path / "blank.png", {}, r"blank\.png shows no ink"),
        (np.zeros((5, 5), np.uint8), {}, "The image shows no ink"),
        (drawing, {"top_k": 0}, "top_k is 0; it must be at least 1"),
        (drawing, {"polarity": "blue"}, "must be auto, dark or light"),
        (drawing.astype(np.float64), {}, "must be uint8"),
    ):
        with pytest.raises(UserError, match=message):
            recognizer.recognize(image, **options)


def test_an_exported_recogniser_runs_without_tensorflow(exported, drawing, tmp_path):
    Image.fromarray(drawing).save(tmp_path / "drawing.png")
    program = (
        "import sys\nfrom kuzushiji_tf.recognizer import Recognizer\n"
        f"print(Recognizer({str(exported)!r}, file='int8').recognize({str(tmp_path / 'drawing.png')!r})[0].character)\n"
        "print({'tensorflow', 'keras'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    character, imported = done.stdout.splitlines()
    assert character in "おきすつなはまやれを"
    assert imported == "set()"
