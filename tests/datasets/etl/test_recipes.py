"""The recipes for the ETL Character Database train on record files; their test split is of other writers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuzushiji_tf.batches.loading import options_of_run
from kuzushiji_tf.config import Architecture, load_recipe
from kuzushiji_tf.datasets import load_dataset
from kuzushiji_tf.datasets.drawn.kana import draw_characters
from kuzushiji_tf.evaluation.scoring import score
from kuzushiji_tf.recognition.predictors import load_predictor
from kuzushiji_tf.training import runs as training
from tests.etl_records import levels_of, record, write_folder

RECIPES = Path(__file__).parents[3] / "recipes"
EXPECTED = {"etl-hiragana": "あいう", "etl-katakana": "アイウ", "etl-kanji": "一三二"}
WRITERS = 14  # of which two are for testing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """ETL8G with hiragana and kanji, ETL1 with katakana and digits, as their record files."""
    characters = "".join(EXPECTED.values()) + "1"
    images = draw_characters(characters.replace("1", "ノ"), WRITERS, (0, 0), 64)
    drawn = {character: images[place * WRITERS :][:WRITERS] for place, character in enumerate(characters)}
    path = tmp_path_factory.mktemp("etl")
    g_files, m_records = {}, []
    for writer in range(WRITERS):
        large = {name: part[writer].repeat(2, axis=0).repeat(2, axis=1) for name, part in drawn.items()}
        g_files[f"ETL8G_{writer + 1:02d}"] = [
            record("8G", levels_of(large[name], "8G"), sheet=1, code=int.from_bytes(name.encode("iso2022_jp")[3:5]))
            for name in EXPECTED["etl-hiragana"] + EXPECTED["etl-kanji"]
        ]
        for name, code in (("ア", 0xB1), ("イ", 0xB2), ("ウ", 0xB3), ("1", 0x31)):
            m_records.append(record("M", levels_of(drawn[name][writer], "M"), sheet=1001 + writer, code=code))
    write_folder(path / "ETL8G", g_files)
    write_folder(path / "ETL1", {"ETL1C_01": m_records})
    return path


@pytest.mark.parametrize("name", ["etl-katakana", "etl-kanji", pytest.param("etl-hiragana", marks=pytest.mark.slow)])
def test_a_recipe_trains_and_is_evaluated_on_other_writers(name, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KUZUSHIJI_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe(RECIPES / f"{name}.toml")
    small = Architecture(width=0.1, depth=0.5)
    quick = replace(recipe, epochs=1, plain_epochs=0, batch_size=6, warmup_epochs=0.0, architecture=small)
    workdir = training.train(quick, tmp_path / "run", data_dir=folder)
    assert "".join(workdir.labels) == EXPECTED[name]
    train, test = (load_dataset(recipe.dataset, split, options_of_run(recipe, folder)) for split in ("train", "test"))
    assert len(train) + len(test) == 3 * WRITERS and train.image_size == (64, 64)
    assert len(test) == 6 and not np.intersect1d(train.groups, test.groups).size
    scores = score(load_predictor(workdir.path), test)
    assert (scores["count"], scores["classes"], scores["left_out"]) == (6, 3, 0)
