"""A config whose parts do not fit each other is refused before the workdir is claimed and anything is trained."""

import sys

import pytest

from tests.trainers.small_runs import make_config, small_classes, train  # noqa: F401
from trainers import builder, checks, loop


def changed(config, path, value):
    """The config with the value of one field, `train.way`, changed."""
    *parents, name = path.split(".")
    part = config
    for parent in parents:
        part = part[parent]
    part[name] = value
    return config


@pytest.mark.parametrize(
    "method, field, value, message",
    [
        (
            "PrototypicalNetwork",
            "evaluation.protocols.3way.query",
            15,
            "The subset 'test' cannot give the episodes of `config.evaluation.protocols.3way`: `shot` \\+ `query` must be at most "
            "the images of a class, in `way` classes: 0 of 10 have as many, class '0' has 8. Received: shot=1, query=15, way=3",
        ),
        (
            "PrototypicalNetwork",
            "validation.way",
            11,
            "The subset 'validation' cannot give the episodes of `config.validation`: `way` must be at most the number of "
            "classes, 10. Received: way=11",
        ),
        (
            "PrototypicalNetwork",
            "evaluation.protocols.3way.within_groups",
            True,
            "cannot give the episodes of `config.evaluation.protocols.3way`: `within_groups` needs classes with groups",
        ),
        (
            "MAML",
            "train.way",
            4,
            "`config.train` does not fit the model: `way` must be at most 3, the way of this MAML. Received: way=4",
        ),
        ("MAML", "validation.way", [2, 4], "`config.validation` does not fit the model: `way` must be at most 3"),
        (
            "MAML",
            "evaluation.protocols.3way.way",
            5,
            "`config.evaluation.protocols.3way` does not fit the model: `way` must be at most 3, .* Received: way=5",
        ),
        (
            "MAML",
            "evaluation.protocols.3way.overrides",
            {"num_steps": 3},
            r"`config.evaluation.protocols.3way` does not fit the model: Overrides must be among .* \['num_steps'\]",
        ),
        (
            "MAML",
            "evaluation.protocols.3way.overrides",
            {"way": 5},
            "does not fit the model: `way` must be 3, which the weights of this MAML were trained with. Received: way=5",
        ),
        (
            "MAML",
            "evaluation.protocols.3way.way",
            None,
            "does not fit the model: `way` of MAML must be a number of classes. Received: way=None",
        ),
        (
            "PrototypicalNetwork",
            "evaluation.tasks",
            4,
            "`config.evaluation.episodes` must be a multiple of the 4 tasks of a batch. Received: 10",
        ),
        (
            "PrototypicalNetwork",
            "validation.episodes",
            9,
            "`config.validation.episodes` must be a multiple of the 2 tasks of a batch. Received: 9",
        ),
        (
            "PrototypicalNetwork",
            "model.backbone_options.input_shape",
            [28, 28, 1],
            r"`config.model.backbone_options.input_shape` must be the shape of the inputs of patterns with "
            r"`config.dataset.options`, \(16, 16, 1\). Received: \(28, 28, 1\)",
        ),
        ("MAML", "model.backbone_options.input_shape", [16, 16, 3], r"\(16, 16, 1\). Received: \(16, 16, 3\)"),
        ("MAML", "checkpoint_every", 0, "`config.checkpoint_every` must be an int of at least 1. Received: .*=0"),
        ("MAML", "evaluation.tasks", 0, "`config.evaluation.tasks` must be an int of at least 1. Received: .*=0"),
        ("MAML", "evaluation.protocols", {}, "`config.evaluation.protocols` must name a protocol"),
        (
            "MAML",
            "evaluation.protocols.3way",
            {"way": 3, "shot": 1},
            "`config.evaluation.protocols.3way` must have way, shot, query, overrides. Received: one without query, overrides",
        ),
        ("MAML", "dataset.name", "sinusoid", r"inputs of sinusoid with .*, \(1,\). Received: \(16, 16, 1\)"),
    ],
)
def test_what_does_not_fit_is_named_before_the_workdir_is_claimed(method, field, value, message, tmp_path, monkeypatch):
    monkeypatch.setattr(loop.Trainer, "train_until", None)
    with pytest.raises(ValueError, match=message) as raised:
        train(changed(make_config(method), field, value), tmp_path / "run")
    assert len(str(raised.value).splitlines()) == 1
    assert [*(tmp_path / "run").iterdir()] == []


def test_queries_that_are_normalized_together_take_one_way():
    config = make_config("MAML")
    tasks = builder.build_tasks(config["dataset"], "test")
    ranged = {"way": [2, 3], "shot": 1, "query": 2}
    checks.check_protocol("3way", ranged, 1, builder.build_model(config), tasks, "test")
    model = builder.build_model(changed(config, "model.options.query_statistics", "queries"))
    checks.check_protocol("3way", {"way": 3, "shot": [1, 2], "query": 2}, 1, model, tasks, "test")
    with pytest.raises(ValueError, match=r"`way` must be one number: this MAML .* Received: way=\(2, 3\)"):
        checks.check_protocol("3way", ranged, 1, model, tasks, "test")


def test_a_regression_model_takes_no_way():
    config = changed(make_config("MAML"), "model.options", {"target_size": 1})
    model = builder.build_model(config)
    tasks = builder.build_tasks(config["dataset"], "test")
    with pytest.raises(ValueError, match="`way` of MAML must be None, since it is a regression model. Received: way=3"):
        checks.check_protocol("3way", {"way": 3, "shot": 1, "query": 2}, 1, model, tasks, "test")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
