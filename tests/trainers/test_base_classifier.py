"""Pretraining in this process, on small classes made here."""

import sys

import numpy as np
import pytest
import tensorflow as tf

import zoo
from tests.trainers.small_runs import (
    final_weights,
    make_config,
    pretrain,
    pretraining_config,
    small_classes,  # noqa: F401
    train,
)
from trainers import builder, checks, protocols
from trainers.base_classifier import Pretrainer
from trainers.initial_weights import load_backbone
from trainers.workdir import read_metrics


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    config = pretraining_config(learning_rate=0.02)
    pretrain(config, tmp_path / "straight")

    class Killed(BaseException):
        pass

    original = Pretrainer.train_until

    def train_until(self, stop):
        if stop == 12:
            raise Killed
        return original(self, stop)

    with monkeypatch.context() as patched:
        patched.setattr(Pretrainer, "train_until", train_until)
        with pytest.raises(Killed):
            pretrain(config, tmp_path / "killed")
    pretrain(config, tmp_path / "killed")
    straight, killed = (final_weights(tmp_path / name) for name in ("straight", "killed"))
    assert [value.shape for value in straight.values()].count((4, 10)) == 3  # the head's kernel and its two moments
    for name, value in straight.items():
        np.testing.assert_array_equal(killed[name], value, err_msg=name)


@pytest.mark.parametrize("clipping", [{}, {"global_clipnorm": 0.1}], ids=repr)
def test_two_replicas_pretrain_the_weights_of_one(clipping, tmp_path, mirrored):
    config = pretraining_config(learning_rate=0.2, optimizer="sgd", optimizer_options={}, num_steps=2, **clipping)
    pretrain(config, tmp_path / "one")
    pretrain(config, tmp_path / "two", mirrored)
    one, two = (zoo.from_preset(tmp_path / name).get_weights() for name in ("one", "two"))
    for value, same in zip(one, two, strict=True):
        np.testing.assert_allclose(same, value, rtol=1e-4, atol=1e-5)


def test_replicas_must_share_a_batch_evenly(tmp_path, mirrored):
    config = pretraining_config()
    config["train"]["batch"] = 5
    with pytest.raises(ValueError, match="`config.train.batch` must be a multiple of the 2 replicas. Received: 5"):
        pretrain(config, tmp_path, mirrored)


@pytest.mark.parametrize("option", ["gradient_accumulation_steps", "ema_overwrite_frequency"])
@pytest.mark.parametrize("run, config", [(train, make_config), (pretrain, pretraining_config)])
def test_what_keras_cannot_do_on_replicas_is_named_at_the_start(run, config, option, tmp_path, mirrored):
    options = {"use_ema": option == "ema_overwrite_frequency", option: 2}
    message = f"`{option}` of the optimizer must be left out in a strategy of tf.distribute. Received: {option}=2 in a "
    with pytest.raises(ValueError, match=message):
        run(config(optimizer_options=options), tmp_path, mirrored)
    assert not (tmp_path / "config.json").exists()


def test_averages_of_weights_are_refused_in_pretraining(tmp_path):
    config = pretraining_config(optimizer_options={"use_ema": True, "ema_overwrite_frequency": 3})
    with pytest.raises(ValueError, match="`config.outer.optimizer_options.use_ema` must be left out in pretraining"):
        pretrain(config, tmp_path)


def test_pretraining_scales_its_loss_in_float16():
    for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
        config = builder.with_precision(pretraining_config(), precision)
        classifier = Pretrainer(config, tf.distribute.get_strategy()).classifier
        scale = float(classifier.optimizer.scale_loss(tf.ones([])))
        assert (scale > 1000) == (precision == "mixed_float16"), precision


def test_a_run_is_a_model_with_the_mean_of_its_training_classes(tmp_path):
    config = pretraining_config(learning_rate=0.02)
    pretrain(config, tmp_path / "straight")
    losses = [record["loss"] for record in read_metrics(tmp_path / "straight") if "loss" in record]
    assert losses[-1] < 0.9 * losses[0]
    model = zoo.from_preset(tmp_path / "straight")
    classes = zoo.datasets.load("patterns")
    features = model.backbone.predict(classes.images / np.float32(255), verbose=0)
    np.testing.assert_allclose(model.base_mean, features.mean(axis=0), rtol=1e-4)
    backbone = builder.build_model(config).backbone
    load_backbone(backbone, str(tmp_path / "straight"))
    np.testing.assert_allclose(
        backbone.predict(classes.images / np.float32(255), verbose=0), features, rtol=1e-4, atol=1e-6
    )
    (result,), _ = protocols.evaluate_preset(tmp_path / "straight")
    assert result["episodes"] == 10 and result["batch_norm_mode"] == "running"
    assert protocols.training_cost(tmp_path / "straight")["steps"] == 12


def test_a_pass_shows_every_image_once_and_any_batch_can_be_the_first():
    classes = zoo.datasets.load("patterns")
    batches = [(x.numpy(), y.numpy()) for x, y in classes.labelled_batches(30, seed=3).take(16)]
    of_image = {image.tobytes(): row for row, image in enumerate(classes.images)}
    rows = np.array([of_image[np.rint(255 * image).astype(np.uint8).tobytes()] for x, _ in batches for image in x])
    labels = np.concatenate([y for _, y in batches])
    np.testing.assert_array_equal(labels, rows // 8)
    for start in range(0, 480, 80):
        assert sorted(rows[start : start + 80]) == list(range(80))
    assert (rows[:80] != rows[80:160]).any()
    x, y = next(iter(classes.labelled_batches(30, seed=3, start=5)))
    np.testing.assert_array_equal(x, batches[5][0])
    np.testing.assert_array_equal(y, batches[5][1])
    assert (next(iter(classes.labelled_batches(30, seed=4)))[1].numpy() != batches[0][1]).any()


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("train", {"batch": 10, "head": "round"}, "`config.train.head` must be one of .* Received: 'round'"),
        (
            "train",
            {"batch": 0, "head": "linear"},
            "`config.train.batch` must be an int from 1 to 80. Received: config.train.batch=0",
        ),
        ("train", {"batch": 81, "head": "linear"}, "`config.train.batch` must be an int from 1 to 80. Received: "),
        (
            "dataset",
            {"name": "sinusoid", "options": {}, "train_options": {}},
            "`config.dataset.name` must be data with classes. Received: 'sinusoid'",
        ),
        ("train", {"way": 5, "tasks": 1}, "must have `batch`. .*a config of python -m trainers.train"),
        (
            "model",
            {**make_config("MAML")["model"]},
            "`config.model.method` must be one without trained weights but those of its backbone.*Received: MAML",
        ),
    ],
)
def test_a_config_that_cannot_be_pretrained_is_refused(field, value, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        pretrain({**pretraining_config(), field: value}, tmp_path)
    assert not (tmp_path / "config.json").exists()


def test_a_config_of_pretraining_is_refused_by_the_other_binary():
    with pytest.raises(ValueError, match="must have `tasks`. .*a config of python -m trainers.pretrain"):
        checks.check_kind(pretraining_config(), "trainers.train")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
