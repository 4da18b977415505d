"""The stages of a chain: each learns, each can be interrupted, none builds on what is missing or has changed."""

import csv
import json
import shutil
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest

from kuzushiji_tf.batches.sampling import EpochPlan
from kuzushiji_tf.datasets.core import content_keys
from kuzushiji_tf.errors import MissingFileError, UserError
from kuzushiji_tf.files import write_json
from kuzushiji_tf.training import fitting
from kuzushiji_tf.transfer import setups, stages
from kuzushiji_tf.transfer.batches import (
    DrawingLatents,
    Posteriors,
    Variation,
    drawing_batches,
    image_batches,
    latent_batches,
)
from kuzushiji_tf.transfer.config import STAGES, Mixture
from kuzushiji_tf.transfer.data import load_chain_data
from kuzushiji_tf.transfer.latent_pictures import bilinear
from kuzushiji_tf.transfer.mdn import build_mdn
from kuzushiji_tf.transfer.sequences import make_table
from kuzushiji_tf.transfer.stages import StageOptions, train_stages
from kuzushiji_tf.transfer.vae import build_decoder
from kuzushiji_tf.transfer.workdirs import ChainFolder, building_on
from kuzushiji_tf.workdirs import find_last, locked
from tests.transfer_data import KANJI, LACKING, MODERN_ONLY, PUBLISHED_DECODER, QUICK, keys_of, use_small_data

# Each trains two or three networks: seconds where cores are free, more than the usual limit where many wait for them.
pytestmark = pytest.mark.timeout(600)

UNSEEN, VALIDATION = "三丙乳争事", "丘久乙"


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    use_small_data(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A chain trained at a stretch, and the images that its stages looked at; not to be changed."""
    seen = set()

    def watched(function, first):
        def call(*arguments):
            images, rows = arguments[first : first + 2]
            seen.update(content_keys(images[rows]))
            return function(*arguments)

        return call

    with pytest.MonkeyPatch.context() as patch:
        use_small_data(patch)
        for name, first in (("image_batches", 0), ("ordered_images", 0), ("encode", 1)):
            patch.setattr(setups, name, watched(getattr(setups, name), first))
        yield train_stages(QUICK, tmp_path_factory.mktemp("chains") / "whole"), seen


@pytest.fixture
def chain(whole, tmp_path):
    """A copy of the chain, to be changed."""
    return ChainFolder(shutil.copytree(whole[0].path, tmp_path / "chain"))


def history(folder):
    with open(folder.history_file, encoding="utf-8", newline="") as stream:
        timed = ("images_per_second", "seconds")
        return [{k: v for k, v in row.items() if k not in timed} for row in csv.DictReader(stream)]


def weights(folder):
    files = [file for file in folder.weights if file.suffix == ".keras"]
    arrays = [array for file in files for array in keras.models.load_model(file, compile=False).get_weights()]
    return arrays + [np.load(file) for file in folder.weights if file.suffix == ".npy"]


def same(some, others):
    return all(np.array_equal(one, other) for one, other in zip(some, others, strict=True))


def only(chain, *names):
    """Remove all stages but some."""
    for name in STAGES:
        if name not in names:
            shutil.rmtree(chain.path / name)
    return chain


class StopAfter(keras.callbacks.Callback):
    """Behaves as Ctrl-C in the middle of an epoch."""

    def __init__(self, epochs):
        super().__init__()
        self._epochs = epochs

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self._epochs:
            signal.raise_signal(signal.SIGINT)  # which is heeded after the next step


def interrupt(monkeypatch, chain, name, epochs=2, **options):
    with monkeypatch.context() as patched:
        patched.setattr(fitting, "Progress", lambda *_: StopAfter(epochs))
        earlier = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs are started without it
        with pytest.raises(KeyboardInterrupt, match=f"--stage {name} .*--resume"):
            train_stages(QUICK, chain.path, StageOptions((name,), **options))
        signal.signal(signal.SIGINT, earlier)
    assert (chain.stage(name).checkpoints / f"epoch-{epochs}-step-1.state").exists()


def test_every_stage_learns_and_leaves_a_complete_folder(whole):
    chain, _ = whole
    chain.require_finished()
    assert chain.config == QUICK
    for name in STAGES:
        folder = chain.stage(name)
        rows, description = history(folder), folder.description
        assert [row["epoch"] for row in rows] == ["1", "2", "3"]
        assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
        assert all(np.isfinite(float(value)) for row in rows for value in row.values())
        assert "val_loss" in rows[0] and "learning_rate" in rows[0]
        assert description["settings"] == json.loads(json.dumps(QUICK.settings_of(name)))
        assert description["result"]["last_epoch"]["epoch"] == 3 and description["result"]["minutes"] > 0
        assert all(file.stat().st_size > 0 for file in folder.weights) and folder.has_checkpoint
        assert list(folder.tensorboard.rglob("*tfevents*"))
        known = {other: chain.stage(other).digest() for other in description["predecessors"]}
        assert known == description["predecessors"]
    for name in ("vae-old", "vae-new"):
        assert list((chain.stage(name).tensorboard / "pictures").iterdir())
        assert "val_reconstruction_loss" in history(chain.stage(name))[0]
    assert set(chain.stage("sketch").description["predecessors"]) == {"vae-old", "vae-new", "mdn"}


def test_the_published_decoder_learns_without_ink_in_sight(chain):
    setup = setups.set_up("sketch", PUBLISHED_DECODER, chain, load_chain_data())
    for batches in (setup.batches(0), setup.validation):
        inputs, _ = next(iter(batches))
        assert set(inputs) == {"z", "previous"} == set(setup.model.input)


def test_stages_say_what_they_were_trained_on(whole):
    data = {name: whole[0].stage(name).description["data"] for name in STAGES}
    seen = len(KANJI) - len(UNSEEN) - len(VALIDATION)
    assert (data["vae-old"]["images"], data["vae-old"]["validation_images"]) == (3 * (seen + 1), 4 * len(VALIDATION))
    modern = len(KANJI + MODERN_ONLY) - len(VALIDATION)
    assert (data["vae-new"]["images"], data["vae-new"]["validation_images"]) == (modern, len(VALIDATION))
    assert (data["mdn"]["images"], data["mdn"]["characters"]) == (3 * seen, seen)
    assert data["mdn"]["validation_characters"] == len(VALIDATION)
    assert data["sketch"]["drawings"] + data["sketch"]["validation_drawings"] + data["sketch"]["left_out"] == len(
        KANJI + MODERN_ONLY
    )
    assert data["sketch"]["scale"] > 0
    assert np.isfinite(whole[0].stage("mdn").description["result"]["val_loss_unigram"])


def test_no_stage_looks_at_the_kuzushiji_of_an_unseen_character(whole):
    _, seen = whole
    data = load_chain_data()
    assert set(content_keys(data.old.images)) | set(content_keys(data.old_held_out.images)) < seen
    assert keys_of("validation") < seen
    assert len(keys_of("unseen")) == 4 * len(UNSEEN) and not keys_of("unseen") & seen


def test_validation_characters_are_trained_on_by_no_stage():
    data = load_chain_data()
    assert {data.characters[place] for place in np.flatnonzero(data.held_out)} == set(VALIDATION)
    partners = data.partners(data.old)
    names = [data.old.classes[label] for label in data.old.labels]
    assert [data.characters[place] if place >= 0 else LACKING for place in partners] == names
    assert not data.held_out[partners[partners >= 0]].any()


@pytest.mark.parametrize("name", STAGES)
def test_a_resumed_stage_equals_an_uninterrupted_one(whole, chain, monkeypatch, name):
    earlier = [other for other in STAGES[: STAGES.index(name)]]
    interrupt(monkeypatch, only(chain, *earlier), name)
    folder = chain.stage(name)
    assert folder.is_resumable and len(history(folder)) == 2
    with pytest.raises(UserError, match=f"unfinished {name}.* --resume"):
        train_stages(QUICK, chain.path, StageOptions((name,)))
    train_stages(QUICK, chain.path, StageOptions((name,), resume=True))
    assert history(folder) == history(whole[0].stage(name))
    assert same(weights(folder), weights(whole[0].stage(name)))


def test_a_stage_before_its_predecessor_says_which_command_to_run(chain, tmp_path):
    with pytest.raises(UserError, match=r"mdn .* vae-old, .* transfer train --stage vae-old --workdir .*new$"):
        train_stages(QUICK, tmp_path / "new", StageOptions(("mdn",)))
    assert not (tmp_path / "new").exists()
    only(chain, "vae-old", "vae-new")
    with pytest.raises(UserError, match=r"sketch .* mdn, .* transfer train --stage mdn --workdir"):
        train_stages(QUICK, chain.path, StageOptions(("sketch",)))


def test_resume_auto_continues_a_stage_and_leaves_what_is_finished(whole, chain, monkeypatch):
    only(chain)
    interrupt(monkeypatch, chain, "vae-new", resume="auto")
    options, said = StageOptions(("vae-new",), resume="auto"), []
    train_stages(QUICK, chain.path, options)
    assert history(chain.stage("vae-new")) == history(whole[0].stage("vae-new"))
    before = chain.config_file.stat().st_mtime_ns
    train_stages(QUICK, chain.path, replace(options, report=said.append))
    assert said[-1] == f"The training in {chain.path} is finished." and chain.config_file.stat().st_mtime_ns == before
    other = replace(QUICK, vae=replace(QUICK.vae, floor=0.25))
    with pytest.raises(UserError, match=r"vae\.floor"):
        train_stages(other, chain.path, options)


def test_an_interrupted_predecessor_is_to_be_resumed(chain, monkeypatch):
    interrupt(monkeypatch, only(chain, "vae-old"), "vae-new", epochs=0)
    with pytest.raises(UserError, match=r"vae-new, .* --stage vae-new --workdir .* --resume$"):
        train_stages(QUICK, chain.path, StageOptions(("mdn",)))


def changed(folder):
    """Change what a stage learned."""
    model = keras.models.load_model(folder.weights[0], compile=False)
    model.layers[-1].set_weights([2 * array for array in model.layers[-1].get_weights()])
    before = folder.digest()
    model.save(folder.weights[0])
    return before[:12], folder.digest()[:12]


@pytest.mark.parametrize("changing, asked, named", [("mdn", "sketch", "sketch"), ("vae-old", "sketch", "mdn")])
def test_a_changed_predecessor_is_refused_by_its_hash(chain, changing, asked, named):
    known, found = changed(chain.stage(changing))
    facts = rf"{named} .* {changing} .* {known}.* {found} .* --stage {named} "
    with pytest.raises(UserError, match=facts):
        chain.require_finished()
    with pytest.raises(UserError, match=facts):
        train_stages(QUICK, chain.path, StageOptions((asked,)))


def test_an_unfinished_stage_is_not_resumed_on_changed_predecessors(chain, monkeypatch):
    interrupt(monkeypatch, only(chain, "vae-old", "vae-new"), "mdn", epochs=1)
    known, _ = changed(chain.stage("vae-new"))
    with pytest.raises(UserError, match=rf"mdn .* vae-new .* {known}"):
        train_stages(QUICK, chain.path, StageOptions(("mdn",), resume=True))


def test_finished_stages_are_kept(chain):
    before = {name: chain.stage(name).digest() for name in STAGES}
    with pytest.raises(UserError, match="vae-new and mdn and sketch with --overwrite"):
        train_stages(QUICK, chain.path, StageOptions(("vae-new",)))
    with pytest.raises(UserError, match="already trained"):
        train_stages(QUICK, chain.path)
    with pytest.raises(UserError, match="already trained"):
        train_stages(QUICK, chain.path, StageOptions(resume=True))
    shutil.rmtree(chain.path / "sketch")
    train_stages(QUICK, chain.path)
    after = {name: chain.stage(name).digest() for name in STAGES}
    assert {name for name in STAGES if after[name] != before[name]} <= {"sketch"}
    chain.require_finished()


def test_overwriting_replaces_a_stage_and_what_builds_on_it_and_nothing_else(chain):
    (chain.path / "notes.txt").write_text("mine")
    (chain.path / "sketch" / "notes.txt").write_text("mine too")
    before = {name: chain.stage(name).digest() for name in STAGES}
    config = replace(QUICK, mdn=replace(QUICK.mdn, epochs=1))
    train_stages(config, chain.path, StageOptions(("mdn",), overwrite=True))
    assert {name: chain.stage(name).digest() for name in ("vae-old", "vae-new")} == {
        name: before[name] for name in ("vae-old", "vae-new")
    }
    assert chain.stage("mdn").digest() != before["mdn"] and len(history(chain.stage("mdn"))) == 1
    assert [file.name for file in (chain.path / "sketch").iterdir()] == ["notes.txt"]
    assert (chain.path / "notes.txt").exists() and chain.config == config
    assert building_on(("vae-old",)) == ("vae-old", "mdn", "sketch") and building_on(("sketch",)) == ("sketch",)


def test_a_stage_that_stays_must_have_the_settings_that_are_asked_for(chain):
    config = replace(QUICK, vae=replace(QUICK.vae, floor=0.25))
    with pytest.raises(UserError, match=r"vae-old .* vae\.floor = 0\.5, not 0\.25.* --stage vae-old --over"):
        train_stages(config, chain.path, StageOptions(("sketch",), overwrite=True))
    assert chain.config == QUICK
    chain.require_finished()


def test_missing_data_removes_nothing(chain, monkeypatch):
    def absent(*_):
        raise MissingFileError("There is no data.")

    monkeypatch.setattr(stages, "load_chain_data", absent)
    with pytest.raises(MissingFileError):
        train_stages(QUICK, chain.path, StageOptions(overwrite=True))
    chain.require_finished()


def test_a_stage_is_resumed_only_on_its_own_data(chain, monkeypatch):
    interrupt(monkeypatch, only(chain, "vae-old"), "vae-new", epochs=0)
    description = chain.stage("vae-new").description
    write_json(
        chain.stage("vae-new").description_file, description | {"data": description["data"] | {"content_hash": "0"}}
    )
    with pytest.raises(UserError, match=r"data .* vae-new .*--overwrite"):
        train_stages(QUICK, chain.path, StageOptions(("vae-new",), resume=True))


def test_foreign_folders_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years of work")
    with pytest.raises(UserError, match=r"thesis\.txt"):
        train_stages(QUICK, tmp_path, StageOptions(overwrite=True))
    (tmp_path / "config.json").write_text('{"config": {}, "versions": {}, "data": {}}')
    with pytest.raises(UserError, match=r"config\.json"):
        train_stages(QUICK, tmp_path, StageOptions(overwrite=True))
    with pytest.raises(MissingFileError, match="nothing"):
        train_stages(QUICK, tmp_path / "nothing", StageOptions(resume=True))
    assert not (tmp_path / "nothing").exists()


def test_files_with_a_stages_names_are_never_deleted(tmp_path):
    chain = ChainFolder(tmp_path)
    chain.describe(QUICK, {})
    chain.stage("vae-old").path.mkdir()
    chain.stage("vae-old").weights[0].write_text("mine")
    with pytest.raises(UserError, match=r"encoder\.keras"):
        train_stages(QUICK, tmp_path, StageOptions(("vae-old",), overwrite=True))
    assert chain.stage("vae-old").weights[0].read_text() == "mine"


def test_a_chain_in_use_is_refused(tmp_path):
    with locked(tmp_path / "chain"), pytest.raises(UserError, match="another run"):
        train_stages(QUICK, tmp_path / "chain")


def test_a_damaged_description_is_refused_in_one_sentence(chain):
    chain.stage("mdn").description_file.write_text("{")
    with pytest.raises(UserError, match=r"stage\.json"):
        train_stages(QUICK, chain.path)


def test_a_lost_weight_file_is_named(chain):
    chain.stage("mdn").weights[1].unlink()
    with pytest.raises(UserError, match=r"unigram\.npy .*mdn"):
        chain.require_finished()


def test_a_stage_is_not_trained_on_damaged_weights(chain):
    file = only(chain, "vae-old", "vae-new").stage("vae-old").weights[0]
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match=rf"{file.name} .*train vae-old again"):
        train_stages(QUICK, chain.path, StageOptions(("mdn",)))


def test_a_loss_that_is_not_a_number_ends_the_stage_in_one_sentence(chain):
    config = replace(QUICK, mdn=replace(QUICK.mdn, learning_rate=1e30))
    with pytest.raises(UserError, match=r"mdn\.learning_rate"):
        train_stages(config, chain.path, StageOptions(("mdn",), overwrite=True))


def test_a_chain_is_no_recognizers_run(chain, tmp_path):
    with pytest.raises(MissingFileError):
        find_last(tmp_path)


def batch(batches, number):
    """Return a batch that is found directly, as one list of arrays."""
    import tensorflow as tf

    return [array.numpy() for array in tf.nest.flatten(next(iter(batches(number))))]


def latent_setup():
    random = np.random.default_rng(0)
    old, new = (random.normal(size=(count, 8)).astype(np.float32) for count in (12, 5))
    partners = np.array([0, 0, 0, 1, 1, 3, 3, 3, 3, 3, 1, 0])
    return Posteriors(old, partners, new)


def make_batches(kind, image_decoder=None, **variation):
    plan, known = EpochPlan(12, 4, seed=3), latent_setup()
    if kind == "images":
        return image_batches(
            np.repeat(np.arange(20, dtype=np.uint8), 64 * 64).reshape(20, 64, 64), np.arange(4, 16), plan
        )
    if kind == "latents":
        return latent_batches(known, plan)
    strokes = [[np.float32([[0, 0], [place / 20, 1]])] for place in range(12)]
    latents = DrawingLatents(build_mdn(Mixture(components=2, hidden=8), 4), known, image_decoder=image_decoder)
    return drawing_batches(make_table(strokes, 1.0, 5)[0], np.arange(12) % 5, latents, plan, Variation(**variation))


@pytest.mark.parametrize("kind", ["images", "latents", "drawings"])
def test_a_batch_depends_on_its_number_alone(kind):
    import tensorflow as tf

    batches = make_batches(kind)
    walked = [[array.numpy() for array in tf.nest.flatten(found)] for found in batches(0).take(5)]
    assert all(same(walked[number], batch(batches, number)) for number in (1, 4))
    assert not same(walked[0], walked[3])  # the same place in the next pass
    assert not same(walked[0], walked[1])


def test_drawings_of_a_batch_have_similar_lengths_and_a_pass_has_each_once():
    points = np.random.default_rng(5).integers(2, 70, 130)
    bend = np.float32([[0, 0], [1, 1]])
    strokes = [[bend[:1] + bend[1:] * np.float32([[k % 2, k / 80]]) for k in range(count)] for count in points]
    strokes = [[np.concatenate(parts)] for parts in strokes]
    table, kept = make_table(strokes, 0.1, 80)
    assert len(kept) == 130
    known = latent_setup()
    plan = EpochPlan(130, 10, seed=3)
    latents = DrawingLatents(build_mdn(Mixture(components=2, hidden=8), 4), known)
    made = list(drawing_batches(table, np.arange(130) % 5, latents, plan)(0).take(26).as_numpy_iterator())
    for pass_ in (made[:13], made[13:]):
        rows = np.concatenate([rows for _, rows in pass_])
        order = np.lexsort(rows.reshape(130, -1).T), np.lexsort(table.rows.reshape(130, -1).T)
        np.testing.assert_array_equal(rows[order[0]], table.rows[order[1]])
    given = [inputs["previous"].shape[1] for inputs, _ in made]
    assert np.mean(given) < 0.75 * table.rows.shape[1]
    for length, (_, rows) in zip(given, made, strict=True):
        assert rows.shape[1] == 81 and (rows[:, length - 1 :, 4] == 1).all()
    assert given[:13] != sorted(given[:13]) and given[:13] != given[13:]


def test_drawings_are_stretched_and_jittered_anew_and_their_padding_is_left_alone():
    def first(**variation):
        previous, _, rows = batch(make_batches("drawings", **variation), 0)  # in the order of the names
        np.testing.assert_array_equal(previous[:, 1:], rows[:, :-1])
        return rows

    plain, stretched, jittered = first(), first(scaling=0.2), first(jitter=0.1)
    is_drawn = plain[..., 4] == 0
    for varied in (stretched, jittered):
        np.testing.assert_array_equal(varied[..., 2:], plain[..., 2:])
        assert (varied[~is_drawn] == plain[~is_drawn]).all()
    moved = is_drawn & (plain[..., 1] != 0)
    factors = stretched[..., 1][moved] / plain[..., 1][moved]
    assert 0.8 <= factors.min() < factors.max() <= 1.2
    drawing = np.nonzero(moved)[0]
    assert all(np.ptp(factors[drawing == number]) < 1e-5 for number in range(4))
    strayed = np.cumsum((jittered - plain)[..., :2], axis=1)[is_drawn]
    assert len(strayed) > 5 and 0.03 < np.std(strayed) < 0.3


def test_drawings_are_given_the_ink_of_their_own_latent_vectors():
    decoder = build_decoder(1 / 16, 4)
    without = batch(make_batches("drawings"), 1)
    ink, *others = batch(make_batches("drawings", image_decoder=decoder), 1)
    assert same(without, others)
    z = others[1]
    np.testing.assert_allclose(ink, decoder(z), atol=1e-6)
    assert ink.std(axis=0).max() > 0


def test_drawings_look_at_kuzushiji_of_their_own_character_or_else_at_their_own_image():
    import tensorflow as tf

    known = latent_setup()
    old, partners, new = known.old, known.partners, known.new
    old[:, :4] = 100 * (1 + partners[:, None]) + np.arange(12)[:, None]  # the mean says whose image it is, and which
    old[:, 4:] = new[:, 4:] = -100
    new[:, :4] = -1 - np.arange(5)[:, None]

    class Echo:
        """Stands for an MDN that predicts what it was given, for certain."""

        def __call__(self, z, training):
            assert training is False
            return tf.concat([tf.zeros_like(z[:, :1]), z, tf.fill(z.shape, -100.0)], axis=1)

    def shown(encoded_share):
        """Return, for each character, what 40 of its drawings look at."""
        latents = DrawingLatents(Echo(), known, encoded_share=encoded_share)
        places = tf.constant([0, 1, 2, 3, 4] * 40, tf.int64)
        found = np.round(latents.draw(places, tf.constant([1, 2], tf.int64)).numpy().mean(axis=1)).astype(int)
        return [found[place::5].tolist() for place in range(5)]

    for place, (published, mixed) in enumerate(zip(shown(0.0), shown(0.5), strict=True)):
        kuzushiji = {100 * (1 + place) + image for image in np.flatnonzero(partners == place)}
        assert set(published) == (kuzushiji or {-1 - place})
        assert set(mixed) == kuzushiji | {-1 - place}
        assert not kuzushiji or 10 <= mixed.count(-1 - place) <= 30


def test_what_the_mdn_samples_for_drawings_strays_less_at_a_lower_temperature():
    known = latent_setup()
    known.old[:, 4:] = -100
    one = Posteriors(known.old[:1], known.partners[:1], known.new)
    places = keras.ops.convert_to_tensor(np.zeros(200, np.int64))
    mdn = build_mdn(Mixture(components=1, hidden=8), 4)

    def spread(*temperature):
        latents = DrawingLatents(mdn, one, *temperature)
        return latents.draw(places, keras.ops.convert_to_tensor(np.int64([1, 2]))).numpy().std(axis=0)

    np.testing.assert_allclose(spread(0.25), spread() / 2, rtol=1e-4)
    assert spread(0).max() < 1e-6 < 0.1 < spread(1.0).min() and np.array_equal(spread(1.0), spread())


def test_a_walk_through_latent_space_begins_and_ends_at_its_corners():
    corners = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    grid = bilinear(corners, 5).reshape(5, 5, 3)
    np.testing.assert_array_equal(grid[[0, 0, -1, -1], [0, -1, 0, -1]], corners)
    np.testing.assert_allclose(grid[2, 2], corners.mean(axis=0), rtol=1e-5)
