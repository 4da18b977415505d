"""The chain in `saved_models/transfer` works as it was committed: nothing has to be trained first."""

import json

import numpy as np
from PIL import Image

from kuzushiji_tf.cli import main
from kuzushiji_tf.cli.transfer_use import SHIPPED_CHAIN
from kuzushiji_tf.transfer.gaussians import split_posterior
from kuzushiji_tf.transfer.generation import retrieve
from kuzushiji_tf.transfer.modern import draw_modern, modern_strokes
from kuzushiji_tf.transfer.opening import CARD, load_chain
from kuzushiji_tf.transfer.pictures import from_svg
from kuzushiji_tf.transfer.scores import load_scoring_data

MOST_BYTES = 12_000_000


def test_it_is_small():
    assert sum(file.stat().st_size for file in SHIPPED_CHAIN.rglob("*") if file.is_file()) <= MOST_BYTES


def test_a_picture_gives_drawings_without_naming_a_chain(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(255 - draw_modern(modern_strokes("道"))[0]).save("kanji.png")
    assert main(["transfer", "generate", "kanji.png", "--samples", "2", "--output", "drawings", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["candidates"] and from_svg((tmp_path / "drawings/kanji/sample-2.svg").read_text())


def test_it_finds_real_kuzushiji_as_often_as_its_card_says(data_dir):
    chain = load_chain(SHIPPED_CHAIN)
    card = json.loads((SHIPPED_CHAIN / CARD).read_text(encoding="utf-8"))
    images = 200
    seen = load_scoring_data(data_dir, images).sides["seen"]
    mixtures = chain.mixture(split_posterior(chain.encode_old(seen.images))[0])
    best = retrieve(chain, mixtures, 1)
    found = np.mean([candidate.character == name for (candidate,), name in zip(best, seen.new, strict=True)])
    said = card["evaluation"]["retrieval_top1_seen"]
    assert abs(found - said) < 4 * np.sqrt(said * (1 - said) / images)
