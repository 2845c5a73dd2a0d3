"""The binary of gradient terms as people run it, and what it is made of."""

import functools
import json
import re
import signal
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from configs import anil_omniglot_5way_1shot, lstm_meta_learner_omniglot_5way_1shot, prototypical_network_glyphs
from studies import gradient_combinations, gradient_measurements
from tests import binaries
from zoo.datasets.sampler import ImageClasses
from zoo.datasets.sinusoid import SinusoidTasks
from zoo.optimization_based import gradient_terms

MAML = ["--config=configs/maml_sinusoid.py", "--shot=5", "--num_tasks=3"]
REPTILE = ["--config=configs/reptile_omniglot_5way_1shot.py", "--dataset=glyphs"]
REPTILE += ["--config.model.backbone_options.filters=4", "--episodes=4"]


run = functools.partial(binaries.run, "studies.gradient_study")


def check_files(done, folder, name):
    assert done.returncode == 0, done.stderr
    for suffix in ("md", "json", "png"):
        assert str(folder / f"{name}.{suffix}") in done.stdout
    assert Image.open(folder / f"{name}.png").size[0] > 800
    return json.loads((folder / f"{name}.json").read_text()), (folder / f"{name}.md").read_text()


@pytest.mark.slow
def test_terms_of_a_fresh_convolutional_network(tmp_path):
    """Without kinks the error of the leading order is of second order from 1e-4 down, that of its constant of first."""
    done = run(f"--output_dir={tmp_path}", "--num_tasks=2", "--num_steps=2", "--alphas=1e-6,1e-5", "--smooth")
    content, document = check_files(done, tmp_path, "gradient_terms")
    assert content["setting"]["dataset"] == "glyphs" and content["setting"]["weights"] == "fresh"
    for method, records in content["errors"].items():
        assert [record["alpha"] for record in records] == [1e-5, 1e-6]
        for comparison, slope in (("expansion", 2), ("constant", 1), ("expected", 2), ("expected_constant", 1)):
            (found,) = gradient_measurements.slopes(records, comparison)
            assert abs(found - slope) < 0.02, (method, comparison, found)
        assert f"{records[0]['expansion'][0]:.2e}" in document
    terms = content["terms"]
    assert terms["length_A_per_task"][0] > 0 and terms["length_B_per_task"][0] > 0
    assert terms["agreement"][0] < terms["length_A_per_task"][0] ** 2  # |A|^2 has the squares of single gradients too


def test_terms_of_a_preset(tmp_path):
    """The trained weights are the ones measured: another A than that of the fresh model."""
    lengths = []
    for source in (["--preset=maml_mlp_sinusoid_5shot"], MAML[:1]):
        done = run(*source, *MAML[1:], f"--output_dir={tmp_path}", "--alphas=1e-7,1e-8", "--num_steps=2")
        content, document = check_files(done, tmp_path, "gradient_terms")
        lengths.append(content["terms"]["length_A_per_task"][0])
        assert content["setting"]["weights"] in document
    assert abs(lengths[0] / lengths[1] - 1) > 0.1


@pytest.mark.slow
def test_combinations_are_trained_side_by_side(tmp_path):
    done = run("--combine", *REPTILE, f"--output_dir={tmp_path}", "--num_iterations=3", "--evaluate_every=2")
    content, document = check_files(done, tmp_path, "gradient_combinations")
    assert [record["iteration"] for record in content["records"]] == [0, 2, 3]
    names = [combination.name for combination in gradient_combinations.COMBINATIONS]
    assert all(list(record["results"]) == names for record in content["records"])
    assert content["setting"]["shot"] == 5 and content["setting"]["inner_learning_rate"] == 0.003
    assert f"| {names[-1]} |" in document and "support+one" in document
    assert done.stdout.count("iteration ") == 3


def test_an_interrupted_run_leaves_what_it_evaluated(tmp_path):
    arguments = ["--combine", *REPTILE, f"--output_dir={tmp_path}", "--num_iterations=100000"]
    with binaries.start("studies.gradient_study", *arguments) as process:
        assert process.stdout.readline().startswith("iteration 0 ")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=200)
    assert process.returncode == 130 and f"interrupted: {tmp_path} holds" in errors and "Traceback" not in errors
    (record,) = json.loads((tmp_path / "gradient_combinations.json").read_text())["records"]
    assert record["iteration"] == 0 and Image.open(tmp_path / "gradient_combinations.png").size[0] > 800


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--output_dir"),
        (["--output_dir={out}", "--alphas=0.1"], "error: `--alphas` must be at least two different numbers above 0."),
        (["--output_dir={out}", "--preset=resnet"], "error: Expected the name of a preset"),
        (["--output_dir={out}", "--preset=maml", "--workdir=runs"], "at most one of --preset, --workdir and --config"),
        (["--output_dir={out}", "--combine", "--preset=maml"], "--combine starts from fresh weights"),
        (["--output_dir={out}", "--combine", MAML[0]], "error: `--combine` needs a config of Reptile. Received: MAML"),
        (["--output_dir={out}", "--dataset=mnist"], "error: Unknown data set: expected one of"),
        (
            [
                "--output_dir={out}",
                MAML[0],
                "--dataset=glyphs",
                "--config.model.backbone_options.input_shape=(16, 16, 1)",
            ],
            "error: `config.model.backbone_options.input_shape` must be the shape of the inputs of glyphs with "
            "`config.dataset.options`, (28, 28, 1). Received: (16, 16, 1)",
        ),
        ([f"--output_dir={__file__}"], "error: `--output_dir` must be a folder that can be written"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, tmp_path):
    done = run(*[argument.format(out=tmp_path) for argument in arguments])
    assert done.returncode != 0 and message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


# ---- the parts


@pytest.mark.parametrize("words", ["0.1", "0.1,small", "0.1,0", "0.1,0.10", "-1,1", "inf,1", "nan,1"])
def test_step_sizes_are_checked(words):
    with pytest.raises(ValueError, match=f"`--alphas` must be .* Received: {words}"):
        gradient_measurements.parse_alphas(words.split(","))


def test_step_sizes_are_sorted():
    assert gradient_measurements.parse_alphas(["1e-3", "0.5", "0.01"]) == [0.5, 0.01, 0.001]


@pytest.mark.parametrize("module", [prototypical_network_glyphs, lstm_meta_learner_omniglot_5way_1shot])
def test_a_method_without_gradient_steps_is_refused(module):
    config = module.get_config().to_dict()
    with pytest.raises(ValueError, match=f"must adapt the weights .* Received: {config['model']['method']}"):
        gradient_measurements.build_in_float64(config)


def test_the_terms_of_anil_are_those_of_its_head():
    """Constant features: the loss of the head is smooth, so that the error of the leading order falls with alpha^2."""
    config = anil_omniglot_5way_1shot.get_config().to_dict()
    config["model"]["backbone_options"]["filters"] = 4
    model = gradient_measurements.build_in_float64(config)
    images = np.random.default_rng(0).integers(0, 256, (60, 28, 28, 1), dtype=np.uint8)
    tasks = ImageClasses.from_labels(images, np.repeat(np.arange(6), 10), list("abcdef"))
    protocol, alphas = {"way": 5, "shot": 2}, [1e-3, 1e-4]
    result = gradient_measurements.measure(model, tasks, protocol, 2, 2, alphas, seed=0)
    phi, _ = gradient_terms.flat_problem(model)
    assert len(phi) == 4 * 5 + 5
    for records in result["errors"].values():
        (slope,) = gradient_measurements.slopes(records, "expansion")
        assert abs(slope - 2) < 0.02
    assert result["terms"]["length_B_per_task"][0] > 0


def test_minibatches_have_the_same_rows_of_each_class():
    y = tf.constant([1, 0, 1, 2, 2, 0, 0, 1, 2, 2, 1, 0], tf.int64)
    x, labels = gradient_measurements.split_rows(tf.range(12), y, 2)
    assert sorted(x.numpy().ravel()) == list(range(12))
    np.testing.assert_array_equal(tf.gather(y, x), labels)
    for batch in labels.numpy():
        np.testing.assert_array_equal(np.bincount(batch), [2, 2, 2])


def test_regression_rows_are_split_in_their_order():
    x, y = gradient_measurements.split_rows(tf.range(6), tf.range(6.0)[:, None], 3)
    np.testing.assert_array_equal(x, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(y[..., 0], x)


def test_drawn_tasks_join_the_query_to_the_support_set():
    x, y = next(iter(gradient_measurements.draw_tasks(SinusoidTasks(), None, 5, 3, seed=0, num_tasks=2)))
    assert x.shape == y.shape == (2, 15, 1) and len(np.unique(x)) == 30


def test_slopes_by_hand():
    records = [{"alpha": 1.0, "e": [8.0, 0]}, {"alpha": 0.5, "e": [2.0, 0]}, {"alpha": 0.25, "e": [1.0, 0]}]
    np.testing.assert_allclose(gradient_measurements.slopes(records, "e"), [2, 1])


def test_outer_updates_by_hand():
    """L = (phi - target)^2 / 2: each g is phi - target, and a step takes the share alpha of it."""

    def loss(phi, target):
        return tf.reduce_sum((phi - target) ** 2) / 2

    targets = [tf.constant([value]) for value in (1.0, 3.0, -2.0, 5.0)]
    phi, g = 0.0, []
    for target in (1.0, 3.0, -2.0, 5.0):
        g.append(phi - target)
        phi -= 0.1 * g[-1]
    for combination in gradient_combinations.COMBINATIONS:
        expected = sum(c * value for c, value in zip(combination.coefficients, g))
        found = gradient_combinations.outer_update(loss, tf.constant([0.0]), targets, 0.1, combination.coefficients)
        np.testing.assert_allclose(found, [expected], rtol=1e-5, err_msg=combination.name)


def test_published_meta_steps():
    """A mean of k gradients is their sum under a k-th of the step; the authors rounded .25 / 3 to .08325."""
    assert len(gradient_combinations.COMBINATIONS) == 10
    for name, coefficients, meta_step in gradient_combinations.COMBINATIONS:
        divisor = len(coefficients) if name.startswith("(") else 1
        np.testing.assert_allclose(meta_step, 0.25 / divisor, rtol=2e-3)
        last_alone = (0,) * (len(coefficients) - 1) + (1,)
        assert coefficients == ((1,) * len(coefficients) if "+" in name else last_alone), name


@pytest.mark.parametrize("flags", [[], ["--combine"]], ids=["terms", "combine"])
def test_a_ranged_way_is_refused(flags, tmp_path):
    """With the value that the flag may have; minibatches of another number of rows each have no common order of losses."""
    config = tmp_path / "ranged.py"
    config.write_text(
        "from configs import reptile_omniglot_5way_1shot\n\n\n"
        "def get_config():\n"
        "    config = reptile_omniglot_5way_1shot.get_config()\n"
        "    config.train = {**config.train.to_dict(), 'way': [3, 5]}\n"
        "    return config\n"
    )
    done = run(f"--config={config}", "--dataset=glyphs", *flags, f"--output_dir={tmp_path / 'out'}")
    expected = r"error: `config.train.way` must be one number: .* Received: \[3, 5\]; --config.train.way=5 chooses one"
    assert done.returncode == 1 and re.search(expected, done.stderr), done.stderr


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
