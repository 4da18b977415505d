"""Some of the classes: named, from a file or given directly; what the data set lacks is said."""

import numpy as np
import pytest

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.datasets.core import CharacterDataset
from kuzushiji_tf.datasets.registry import LoadOptions, load_dataset
from kuzushiji_tf.datasets.subsets import JOYO_FILE, joyo_characters, select_classes
from kuzushiji_tf.errors import UserError

CLASSES = ("あ", "い", "か", "か\u3099", "ゐ", "ゝ", "ア", "ー", "一", "叱", "勺", "A", "𠀋", "神")


def dataset_of(classes: tuple[str, ...] = CLASSES, copies: int = 3) -> CharacterDataset:
    labels = np.random.default_rng(0).permutation(np.tile(np.arange(len(classes), dtype=np.int32), copies))
    images = np.broadcast_to(labels[:, None, None], (len(labels), 8, 8)).astype(np.uint8)
    return CharacterDataset("toy", "train", images, labels, Labels(classes), "none", "nobody", groups=labels * 10)


def chosen(classes: str) -> str:
    return " ".join(select_classes(dataset_of(), classes).classes)


def test_images_keep_their_characters_under_the_new_numbers():
    whole, part = dataset_of(), select_classes(dataset_of(), "ーいA")
    assert part.classes.characters == ("い", "ー", "A")
    assert len(part) == 9
    for image, label, group in zip(part.images, part.labels, part.groups, strict=True):
        old = int(image[0, 0])
        assert whole.classes[old] == part.classes[label]
        assert group == old * 10


@pytest.mark.parametrize(
    ("name", "characters"),
    [
        ("hiragana", "あ い か か\u3099 ゐ ゝ"),
        ("katakana", "ア ー"),
        ("kanji", "一 叱 勺 𠀋 神"),
        ("joyo", "一 叱 神"),
        ("k49", "あ い か ゐ ゝ"),
    ],
)
def test_named_subsets_take_what_the_data_set_has(name, characters):
    assert chosen(name) == characters


def test_a_class_of_several_code_points_is_told_from_its_first():
    assert chosen("か") == "か"
    assert chosen("か\u3099") == "か\u3099"
    assert chosen("か\u3099か") == "か か\u3099"


def test_a_file_may_hold_any_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\ufeffいろは、\nあいう\n", encoding="utf-8")
    assert chosen(str(path)) == "あ い"


def test_a_class_without_images_in_this_split_stays_a_class():
    whole = dataset_of()
    without = whole.select(np.flatnonzero(whole.labels != 1))
    assert select_classes(without, "あい").classes.characters == ("あ", "い")


def test_all_classes_leave_the_data_set_as_it_is():
    dataset = dataset_of(("あ", "い"))
    assert select_classes(dataset, "hiragana") is dataset


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("あうえ", "toy .* う え"),
        ("亜唖娃阿哀愛挨姶逢葵茜", r"toy .*(\S ){10}and 1 more"),
        ("jouyo", "'jouyo'.*'joyo'"),
        ("文字/一覧.txt", "'文字/一覧.txt'"),
        ("  ", "toy .*'  '.* 14 classes .*あいかが"),
        ("あ" * 5000 + "え", "toy .* え"),
    ],
)
def test_what_is_not_there_is_said_in_one_sentence(classes, message):
    message = message.replace("が", "か\u3099")
    with pytest.raises(UserError, match=message) as caught:
        select_classes(dataset_of(), classes)
    assert "\n" not in str(caught.value)


def test_a_file_or_subset_without_any_of_the_classes_is_refused(tmp_path):
    (tmp_path / "other.txt").write_text("えお", encoding="utf-8")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"toy .*classes"):
        select_classes(dataset_of(), str(tmp_path / "other.txt"))
    with pytest.raises(UserError, match="UTF-8"):
        select_classes(dataset_of(), str(tmp_path / "binary.txt"))
    with pytest.raises(UserError, match=r"toy .*'katakana'"):
        select_classes(dataset_of(("あ",)), "katakana")


def test_joyo_kanji_are_the_2136_of_2010():
    lines = [line for line in JOYO_FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    official = {line.split()[0] for line in lines}
    assert len(lines) == len(official) == 2136
    assert set("鬱籠彙亜腕俺岡誰") <= official
    assert not set("勺錘銑脹匁") & joyo_characters()
    assert joyo_characters() - official == set("剥填頬叱")
    assert JOYO_FILE.read_text(encoding="utf-8").startswith("# The 2,136 joyo kanji")


def test_options_select_from_a_registered_data_set(data_dir):
    dataset = load_dataset("kmnist", "test", LoadOptions(data_dir, classes="をお"))
    assert dataset.classes.characters == ("お", "を")
    assert np.bincount(dataset.labels).tolist() == [1000, 1000]
