"""The binaries as people run them: processes, a kill -9, wrong arguments."""

import json
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.binaries import run, start

PRESET = "prototypical_network_conv4_glyphs_30way_1shot"
SMALL = [
    "--config=configs/prototypical_network_glyphs.py",
    "--config.train.way=5",
    "--config.outer.num_steps=60",
    "--config.log_every=10",
    "--config.checkpoint_every=10",
    "--config.validation.every=20",
    "--config.validation.episodes=4",
    "--config.model.backbone_options.filters=8",
]


def weights(folder):
    import zoo

    return zoo.from_preset(folder).get_weights()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = run("trainers.train", *SMALL, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    assert "python -m trainers.evaluate" in done.stdout
    return folder


def test_training_leaves_its_files(trained):
    for name in ("config.json", "model.json", "model.weights.h5", "metrics.jsonl", "learning_curve.png", "tensorboard"):
        assert (trained / name).exists(), name
    assert Image.open(trained / "learning_curve.png").size[0] > 500
    assert not list(trained.glob("*.tmp")) and not list(trained.glob(".w*"))


def test_lines_to_paste_are_quoted_and_name_files_that_are_there(tmp_path):
    config, folder = tmp_path / "my config.py", tmp_path / 'it\'s a "run"'
    config.symlink_to(pathlib.Path("configs/prototypical_network_glyphs.py").absolute())
    changes = ["--config.outer.num_steps=1", "--precision=mixed_bfloat16"]
    done = run("trainers.train", f"--config={config}", *SMALL[1:], *changes, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("next: ")]
    assert shlex.split(line)[1:] == ["python", "-m", "trainers.evaluate", f"--workdir={folder}"]
    command = shlex.split(json.loads((folder / "model.json").read_text())["metadata"]["command"])
    assert f"--config={config}" in command and "--workdir=runs/my config" in command
    assert set(changes) <= set(command)


def test_killed_and_started_again_it_ends_the_same(trained, tmp_path):
    unread = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = start("trainers.train", *SMALL, f"--workdir={tmp_path}", **unread)
    deadline = time.time() + 200
    while not list((tmp_path / "checkpoints").glob("ckpt-*.index")) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "learning_curve.png").exists(), "it ended before it was killed"
    done = run("trainers.train", *SMALL, f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    for one, other in zip(weights(trained), weights(tmp_path)):
        np.testing.assert_array_equal(one, other)
    names = ("step", "loss", "accuracy", "validation_accuracy")
    curves = [
        [[record.get(name) for name in names] for record in map(json.loads, (folder / "metrics.jsonl").open())]
        for folder in (trained, tmp_path)
    ]
    assert curves[0] == curves[1]


def test_two_workers_end_where_one_process_ends(tmp_path):
    """Two processes on loopback, MAML's tasks shared out between them; metrics agree with one process at every step."""
    config = ["--config=configs/maml_sinusoid.py", "--config.train.tasks=4", "--config.validation.tasks=2"]
    config += ["--config.validation.episodes=4", "--config.validation.every=10", "--config.outer.num_steps=20"]
    config += ["--config.log_every=5", "--config.checkpoint_every=10"]
    assert run("trainers.train", *config, f"--workdir={tmp_path / 'one'}").returncode == 0
    ports = []
    for _ in range(2):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
    workers = [f"127.0.0.1:{port}" for port in ports]
    flags = [*config, f"--workdir={tmp_path / 'two'}", "--strategy=multi_worker"]
    clusters = [{"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(2)]
    processes = [start("trainers.train", *flags, environment={"TF_CONFIG": json.dumps(one)}) for one in clusters]
    errors = [process.communicate(timeout=250)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    one, two = ([json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for key in a.keys() - {"seconds"}:
            np.testing.assert_allclose(a[key], b[key], rtol=1e-3, err_msg=f"{key} at step {a['step']}")


@pytest.mark.slow
def test_tasks_all_at_once_end_where_tasks_one_by_one_end(tmp_path):
    config = ["--config=configs/maml_sinusoid.py", "--config.outer.num_steps=20", "--config.validation.episodes=50"]
    config += ["--config.validation.every=10", "--config.log_every=5"]
    losses = []
    for loop in ("map", "batched"):
        flags = [f"--workdir={tmp_path / loop}", f"--task_loop={loop}"]
        for done in (run("trainers.train", *config, *flags), run("trainers.evaluate", *flags, "--episodes=50")):
            assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in (tmp_path / loop / "metrics.jsonl").open()]
        results = json.loads((tmp_path / loop / "evaluation.json").read_text())
        losses.append(
            [r.get(name) for r in records for name in ("loss", "validation_loss")] + [r["mean"] for r in results]
        )
    one_by_one, at_once = (np.array(values, float) for values in losses)
    assert np.isfinite(one_by_one).sum() >= 9
    np.testing.assert_allclose(at_once, one_by_one, rtol=1e-4)


def test_evaluate_prints_and_writes_the_results(trained):
    done = run("trainers.evaluate", f"--workdir={trained}", "--episodes=20", "--protocols=5way_1shot")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads((trained / "evaluation.json").read_text())
    assert result["episodes"] == 20 and 0.2 < result["mean"] <= 1 and result["ci95"] > 0
    text = f"{100 * result['mean']:.2f} ± {100 * result['ci95']:.2f} %"
    card = (trained / "card.md").read_text()
    for part in (text, "15 queries per class", "20 test episodes", "batch_norm_mode running", "seed 0"):
        assert part in done.stdout and part in card, part
    assert "`python -m trainers.train --config=configs/prototypical_network_glyphs.py " in card
    assert "--config.train.way=5" in card and Image.open(trained / "episode.png").size[1] > 300


def test_counts_of_flags_are_evaluated_in_place_of_the_protocols(trained):
    before = (trained / "card.md").read_text() if (trained / "card.md").exists() else None
    flags = ["--way=3,4", "--shot=1,2", "--query=5", "--episodes=4"]
    done = run("trainers.evaluate", f"--workdir={trained}", *flags)
    assert done.returncode == 0, done.stderr
    assert "5way_1shot with way=3 to 4, shot=1 to 2, query=5: accuracy " in done.stdout
    assert "(3- to 4-way 1- to 2-shot, 5 queries per class, 4 test episodes of " in done.stdout
    assert f"{trained / 'ad_hoc_evaluation.json'}: 5way_1shot with way=3 to 4" in done.stdout
    assert ((trained / "card.md").read_text() if before else None) == before
    done = run("trainers.evaluate", f"--workdir={trained}", "--way=three")
    assert done.stderr.splitlines()[-1:] == [
        "error: `--way` must be a number, 5, or the lowest and the highest, 3,5. Received: three"
    ]


def test_export_adapts_in_a_fresh_process(trained, tmp_path):
    done = run("export.export_model", f"--workdir={trained}", f"--output_dir={tmp_path}", "--way=4")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "1" / "adaptation.json").read_text())["way"] == 4
    picture = tmp_path / "letters.png"
    done = run("export.try_export", f"--saved_model={tmp_path / '1'}", f"--picture={picture}")
    assert done.returncode == 0, done.stderr
    assert "of 12 right" in done.stdout and picture.is_file()


@pytest.mark.parametrize(
    "argument, message",
    [
        (
            "--config=configs/none.py",
            "error: `--config` must name a config file, or a config that comes with the package, such as ",
        ),
        (
            "--config.trian.way=3",
            "error: --config.trian.way: the fields of `config` are ['checkpoint_every', 'dataset', ",
        ),
        ("--config.train.wya=3", "error: --config.train.wya: the fields of `config.train` are ['query', 'shot', "),
        ("--config.train.way.x=3", "error: --config.train.way.x: `config.train.way` is 30 and has no fields."),
        ("--config.outer.num_steps=many", "num_steps"),
        ("--strategy=tpu", "strategy"),
        ("--task_loop=vmap", "should be one of <auto|map|batched>"),
        ("--config.dataset.name=mnist", "error: Unknown data set: expected one of"),
        ("--config.model.method=Mamba", "error: `config.model.method` must be one of"),
        (
            "--config.train.way=2000",
            "error: The subset 'train' cannot give the episodes of `config.train`: `way` must be at most the number of classes, "
            "1057. Received: way=2000",
        ),
        (
            "--config.evaluation.protocols['5way_1shot'].query=5000",
            "error: The subset 'test' cannot give the episodes of `config.evaluation.protocols.5way_1shot`: `shot` + `query` must",
        ),
        (
            "--config.model.backbone_options.input_shape=(84, 84, 3)",
            "error: `config.model.backbone_options.input_shape` must be the shape of the inputs of glyphs with "
            "`config.dataset.options`, (28, 28, 1). Received: (84, 84, 3)",
        ),
        (
            "--config.evaluation.protocols.5way_1shot.query=50",
            "error: --config.evaluation.protocols.5way_1shot.query: a field that begins with a digit stands in brackets, "
            "evaluation.protocols['5way_1shot'].query",
        ),
    ],
)
def test_wrong_training_arguments_are_named_and_write_nothing(argument, message, tmp_path):
    folder = tmp_path / "run"
    done = run("trainers.train", SMALL[0], f"--workdir={folder}", argument)
    assert done.returncode != 0 and message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr and not (folder / "checkpoints").exists()


@pytest.mark.parametrize(
    "module, arguments, message",
    [
        ("trainers.evaluate", ["--preset=resnet"], "Expected the name of a preset"),
        ("trainers.evaluate", [], "Give either --workdir or --preset."),
        ("export.export_model", ["--preset=resnet", "--output_dir={out}"], "Expected the name of a preset"),
        ("export.export_model", [f"--preset={PRESET}", "--output_dir={file}"], "must be a folder that can be"),
    ],
)
def test_other_wrong_arguments_are_named(module, arguments, message, tmp_path):
    file = tmp_path / "file"
    file.write_text("kept")
    done = run(module, *[argument.format(file=file, out=tmp_path / "out") for argument in arguments])
    assert done.returncode != 0 and message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr and [*tmp_path.iterdir()] == [file] and file.read_text() == "kept"


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
