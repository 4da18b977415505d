"""A recognizer that several threads use reads for each of them what it reads for one alone."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep

import numpy as np

from kuzushiji_tf.characters.labels import Labels
from kuzushiji_tf.recognition.predictors import Predictor
from kuzushiji_tf.recognition.recognizer import Recognizer

THREADS, CALLS = 8, 60


def test_threads_that_share_a_recognizer_read_what_one_alone_reads():
    recognizer = Recognizer.pretrained("kana")
    random = np.random.default_rng(0)
    drawings = [[random.uniform(0, 100, (8, 2)).tolist()] for _ in range(CALLS)]
    alone = [recognizer.recognize(strokes=strokes) for strokes in drawings]
    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(lambda strokes: recognizer.recognize(strokes=strokes), drawings))
    assert together == alone


def test_a_file_of_any_kind_is_run_by_one_thread_at_a_time(tmp_path):
    inside, most = 0, 0
    start = Barrier(THREADS)

    def run(images):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        sleep(0.001)  # in which the other threads run
        answer = np.full((len(images), 2), images.mean() / 255, np.float32)
        inside -= 1
        return answer

    predictor = Predictor(tmp_path / "model.keras", Labels(("あ", "い")), (8, 8), "none", run)

    def predict(value):
        start.wait()
        return [predictor.predict(np.full((1, 8, 8), value, np.uint8))[0, 0] for _ in range(20)]

    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(predict, range(THREADS)))
    assert most == 1
    assert np.allclose(answers, np.arange(THREADS)[:, np.newaxis] / 255)
