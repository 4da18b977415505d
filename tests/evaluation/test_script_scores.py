import numpy as np
import pytest

from kuzushiji_tf.characters.labels import UNKNOWN, Labels
from kuzushiji_tf.characters.scripts import in_script, look_alike
from kuzushiji_tf.evaluation.metrics import TOP_K
from kuzushiji_tf.evaluation.script_scores import ScriptScores
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.recognition.readings import Repertoire


def _predictor(tmp_path, characters):
    return Predictor(tmp_path / "model.tflite", Labels(tuple(characters)), (32, 32), "ink-box", None)


@pytest.fixture
def drawings():
    """Many probabilities, some of them equal, over characters with look-alikes and the class of scribbles."""
    characters = [*"へヘあアりリかカ力ロ口一日木", UNKNOWN]
    random = np.random.default_rng(3)
    labels = random.integers(0, len(characters), 400)
    probabilities = random.dirichlet(np.full(len(characters), 0.3), len(labels))
    probabilities[np.arange(len(labels)), labels] += random.choice([0, 0.1, 0.5], len(labels))
    probabilities = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), 2)
    return characters, probabilities.astype(np.float32), labels.astype(np.int32)


def test_scores_are_those_of_the_candidates_that_a_recognizer_offers(drawings, tmp_path):
    characters, probabilities, labels = drawings
    predictor = _predictor(tmp_path, characters)
    scores, repertoire = ScriptScores(predictor), Repertoire(predictor)
    scores.add(probabilities[:150], labels[:150])
    scores.add(probabilities[150:], labels[150:])
    result = scores.result()
    kinds = {"kana": ("hiragana", "katakana")} | {script: (script,) for script in ("hiragana", "katakana", "kanji")}
    for kind, scripts in kinds.items():
        seen = []
        for row, label in zip(probabilities, labels, strict=True):
            script = next((name for name in scripts if in_script(characters[label], name)), None)
            if script and characters[label] != UNKNOWN:
                reading = repertoire.reading(row)
                offered = [candidate.character for candidate in reading.candidates(TOP_K)]
                alone = [candidate.character for candidate in reading.candidates(TOP_K, script)]
                true = characters[label]
                is_alike = look_alike(offered[0]) == look_alike(true)
                hits = offered[0] == true, true in offered, is_alike, alone[0] == true, true in alone
                seen.append((*hits, not reading.is_character))
        names = ("accuracy", "top5_accuracy", "alike_accuracy", "alone_accuracy", "alone_top5_accuracy", "refused")
        expected = dict(zip(names, np.mean(seen, axis=0), strict=True))
        assert result[f"{kind}_count"] == len(seen)
        assert {name: result[f"{kind}_{name}"] for name in expected} == pytest.approx(expected)


def test_a_known_script_and_forgiven_look_alikes_never_lower_a_score(drawings, tmp_path):
    characters, probabilities, labels = drawings
    scores = ScriptScores(_predictor(tmp_path, characters))
    scores.add(probabilities, labels)
    result = scores.result()
    assert result["kana_accuracy"] < result["kana_alike_accuracy"]
    for kind in ("kana", "kanji"):
        assert result[f"{kind}_accuracy"] <= result[f"{kind}_alike_accuracy"]
        assert result[f"{kind}_accuracy"] < result[f"{kind}_alone_accuracy"] < 1


def test_a_recognizer_of_one_script_has_no_scores_apart(tmp_path):
    scores = ScriptScores(_predictor(tmp_path, "あいう"))
    scores.add(np.eye(3, dtype=np.float32), np.arange(3, dtype=np.int32))
    assert scores.result() == {}


def test_a_kind_without_test_images_has_no_scores(tmp_path):
    scores = ScriptScores(_predictor(tmp_path, "あ日"))
    scores.add(np.eye(2, dtype=np.float32)[:1], np.zeros(1, np.int32))
    assert {key.split("_")[0] for key in scores.result()} == {"kana", "hiragana"}


def test_what_is_refused_counts_by_script_and_in_all(tmp_path):
    scores = ScriptScores(_predictor(tmp_path, ["あ", "ア", "日", UNKNOWN]))
    refused, kept = [0.4, 0, 0, 0.6], [0.3, 0.3, 0.0, 0.4]
    scores.add(np.array([refused, kept, refused], np.float32), np.array([0, 1, 1], np.int32))
    result = scores.result()
    assert [result[f"{kind}refused"] for kind in ("", "hiragana_", "katakana_", "kana_")] == pytest.approx(
        [2 / 3, 1, 1 / 2, 2 / 3]
    )
    assert "kanji_refused" not in result
