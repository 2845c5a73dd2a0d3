import dataclasses
import json
import shlex
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import zoo
from export import (
    client,
    frozen,
    limits,
    litert,
    saved_model,
    serving_files,
    signatures,
    task_state,
    versions,
    way_and_ink,
)
from tests import descriptors
from tests.descriptors import WAY, episode
from zoo.core import task_loop


@pytest.fixture(params=descriptors.params(), scope="module")
def served(request, export_of):
    """An export as it was loaded again, with the layout of its task state."""
    _, folder = export_of(request.param)
    loaded = tf.saved_model.load(str(folder))
    loaded.state_layout = json.loads((folder / saved_model.SIDECAR_FILE).read_text())["task_state"]
    return loaded


def request_of(x):
    return {"support_images": x["support_x"], "support_labels": x["support_y"], "query_images": x["query_x"]}


def ask(served, **changes):
    x, _ = episode()
    request = {**request_of(x), **changes}
    return served.signatures["adapt_and_predict"](**{name: tf.constant(value) for name, value in request.items()})


def test_all_dimensions_but_the_image_are_dynamic_and_tasks_lead(served):
    for function in served.signatures.values():
        for spec in tf.nest.flatten([function.structured_input_signature, function.structured_outputs]):
            assert spec.shape.rank and spec.shape[0] is None, spec
    images, labels = tf.nest.flatten(served.signatures["adapt"].structured_input_signature)
    assert images.shape.as_list() == [None, None, *descriptors.IMAGE_SHAPE]
    assert (labels.shape.as_list(), labels.dtype) == ([None, None], tf.int64)


def test_adapt_then_predict_is_adapt_and_predict(served):
    x, _ = episode(num_tasks=3)
    request = request_of(x)
    queries = request.pop("query_images")
    state = served.signatures["adapt"](**request)["task_state"]
    layout = served.state_layout
    assert state.shape == (3, layout["fixed_size"] + 2 * WAY * layout["size_per_support_row"])
    answers = served.signatures["predict"](task_state=state, query_images=queries)
    at_once = served.signatures["adapt_and_predict"](**request, query_images=queries)
    np.testing.assert_allclose(answers["probabilities"], at_once["probabilities"], rtol=1e-4, atol=1e-6)


def test_a_state_of_another_export_or_with_a_flipped_bit_answers_nan_and_leaves_its_neighbour(served):
    x, _ = episode(num_tasks=2)
    request = request_of(x)
    queries = request.pop("query_images")
    state = served.signatures["adapt"](**request)["task_state"].numpy()
    expected = served.signatures["predict"](task_state=tf.constant(state), query_images=queries)["probabilities"]
    rng = np.random.default_rng(0)
    places = [(0, 0), (3, 31), (4, 0), (5, 31), (-1, 31), (-1, 0)]
    places += zip(rng.integers(0, state.shape[1], 24), rng.integers(0, 32, 24))
    for place, bit in places:
        changed = state.copy()
        changed[0].view(np.uint32)[place] ^= np.uint32(1 << int(bit))
        answers = served.signatures["predict"](task_state=tf.constant(changed), query_images=queries)
        assert np.isnan(answers["probabilities"][0]).all() and (answers["labels"][0].numpy() == -1).all()
        np.testing.assert_allclose(answers["probabilities"][1], expected[1], rtol=1e-4, atol=1e-6)


def test_the_fingerprint_is_that_of_weights_config_and_version():
    model = descriptors.build("prototypical_network")
    first = task_state.fingerprint(model, 1)
    assert first == task_state.fingerprint(descriptors.build("prototypical_network"), 1)
    assert first != task_state.fingerprint(model, 2)
    model.trainable_variables[0].assign(model.trainable_variables[0] * 1.0001)
    assert first != task_state.fingerprint(model, 1)


def test_an_empty_support_set_is_answered(served):
    """Without rows at all, a naive graph aborts the process: a max-pool gradient over zero images."""
    empty = {
        "support_images": tf.zeros([2, 0, *descriptors.IMAGE_SHAPE]),
        "support_labels": tf.zeros([2, 0], tf.int64),
    }
    answers = ask(served, **empty)["probabilities"].numpy()
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(answers.sum(axis=-1), 1, rtol=1e-5)
    adapted = served.signatures["adapt"](**empty)
    np.testing.assert_array_equal(adapted["support_count"], [0, 0])
    np.testing.assert_array_equal(adapted["support_loss"], [0, 0])


def test_no_queries_is_an_empty_answer(served):
    answers = ask(served, query_images=tf.zeros([2, 0, *descriptors.IMAGE_SHAPE]))
    assert answers["probabilities"].shape == (2, 0, WAY) and answers["labels"].shape == (2, 0)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"support_labels": np.zeros([2, 5], np.int64)}, "one label for each row"),
        ({"support_labels": np.zeros([1, 6], np.int64)}, "one label for each row"),
        ({"query_images": np.zeros([3, 4, *descriptors.IMAGE_SHAPE], np.float32)}, "as many tasks"),
    ],
    ids=["rows", "tasks of labels", "tasks of queries"],
)
def test_shapes_that_do_not_fit_are_invalid_arguments(served, changes, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(served, **changes)


def test_no_tasks_is_an_invalid_argument(served):
    x, _ = episode()
    with pytest.raises(tf.errors.InvalidArgumentError, match="T > 0"):
        served.signatures["adapt_and_predict"](**{name: value[:0] for name, value in request_of(x).items()})


def test_the_graph_has_no_op_that_must_not_be_served(served):
    saved_model.check_graph(served.signatures)


def test_a_graph_that_assigns_is_refused():
    counter = tf.Variable(0.0)
    counting = tf.function(lambda: counter.assign_add(1.0)).get_concrete_function()
    with pytest.raises(ValueError, match="Signature 'count' must not contain .* Received: .'AssignAddVariableOp'."):
        saved_model.check_graph({"count": counting})


def test_versions_count_up_and_are_never_overwritten(tmp_path, unproven):
    model = descriptors.build("prototypical_network")
    assert saved_model.export(model, tmp_path, version=4).name == "4"
    assert saved_model.export(model, tmp_path, metadata={"note": "second"}).name == "5"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["4", "5"]
    sidecar = json.loads((tmp_path / "5" / saved_model.SIDECAR_FILE).read_text())
    assert (
        sidecar["note"] == "second"
        and sidecar["way"] == WAY
        and sidecar["task_state"]["fixed_size"] == 6 + WAY * 4 + WAY
    )
    with pytest.raises(
        ValueError, match="`version` must be an int from 1 to .* that .* does not hold yet. Received: 4"
    ):
        saved_model.export(model, tmp_path, version=4)


def test_warm_up_requests_are_answered_and_cover_every_signature(export_of):
    _, folder = export_of("prototypical_network")
    requests = serving_files.read_warmup(folder)
    local = client.LocalClient(folder)
    assert set(requests) == set(tf.saved_model.load(str(folder)).signatures)
    for signature, inputs in requests.items():
        assert all(len(value) == 1 for value in inputs.values())
        answers = local.call(signature, inputs)
        assert all(np.isfinite(value).all() for value in answers.values()), signature


def test_only_the_chosen_signatures_are_written(tmp_path, unproven):
    model = descriptors.build("prototypical_network")
    folder = saved_model.export(model, tmp_path, signatures=["adapt", "predict"])
    assert set(tf.saved_model.load(str(folder)).signatures) == {"adapt", "predict"}
    with pytest.raises(ValueError, match="`signatures` must be among .* Received: .'adopt'."):
        saved_model.export(model, tmp_path, signatures=["adopt"])


def test_samples_of_server_configuration_forbid_padding_and_are_not_overwritten(tmp_path):
    serving_files.write_server_samples(tmp_path, "letters", 16)
    sample = (tmp_path / "batching_params.pbtxt").read_text()
    assert "pad_variable_length_inputs: false" in sample
    # A server refuses sizes that do not grow, or do not end at the largest batch.
    sizes = [int(line.split()[1]) for line in sample.splitlines() if line.startswith("allowed_batch_sizes")]
    assert sizes == [1, 2, 4, 8, 16] and "max_batch_size { value: 16 }" in sample
    (tmp_path / "models.config").write_text("mine")
    serving_files.write_server_samples(tmp_path, "letters", 16)
    assert (tmp_path / "models.config").read_text() == "mine"


def test_single_images_are_merged_by_more_than_adaptations(export_of):
    wide, pad_to = limits.Limits(500, 5000, 5000, 1), {"support_rows": 25, "query_rows": 15}
    assert serving_files.batch_size_of(False, wide, pad_to) == 16
    assert serving_files.batch_size_of(True, wide, pad_to) == 128
    assert serving_files.batch_size_of(True, dataclasses.replace(wide, rows=100), pad_to) == 64
    # What is merged stays within what the graph takes: 9 tasks of 25 rows, 5 of 15 queries.
    assert serving_files.batch_size_of(False, dataclasses.replace(wide, support_images=249), pad_to) == 8
    assert serving_files.batch_size_of(False, dataclasses.replace(wide, query_images=75), pad_to) == 4
    for method, size in (("prototypical_network", 128), ("mann", 16)):
        _, folder = export_of(method)
        for place in (folder, folder.parent):
            assert f"max_batch_size {{ value: {size} }}" in (place / "batching_params.pbtxt").read_text()


@pytest.mark.parametrize("name", ['my "best" model', "it's", "plain"])
def test_names_are_quoted_for_the_shell_and_for_the_server(name, tmp_path):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    folder = tmp_path / name
    folder.mkdir()
    serving_files.write_server_samples(folder, name)
    text = (folder / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config[0]
    assert (config.name, config.base_path) == (name, f"/models/{name}")
    words = shlex.split(serving_files.docker_command(folder, name, batching=True))
    assert f"{folder}:/models/{name}" in words and f"--model_name={name}" in words
    assert f"--batching_parameters_file=/models/{name}/batching_params.pbtxt" in words


def test_the_server_line_merges_only_where_that_is_asked_for(tmp_path):
    assert "--enable_batching" not in serving_files.docker_command(tmp_path, "letters")
    assert "--enable_batching" in serving_files.docker_command(tmp_path, "letters", batching=True)


def test_the_server_line_has_the_threads_that_the_method_wants(tmp_path):
    for cls, wanted in ((zoo.MAML, True), (zoo.PrototypicalNetwork, False)):
        line = serving_files.docker_command(tmp_path, "letters", one_thread_per_op=cls.one_thread_per_op)
        assert ("--tensorflow_intra_op_parallelism=1" in shlex.split(line)) == wanted


def test_a_version_that_no_server_can_read_is_refused(tmp_path):
    assert versions.choose_version(tmp_path, 2**63 - 1) == (tmp_path, 2**63 - 1)
    with pytest.raises(
        ValueError, match="`version` must be an int from 1 to 9223372036854775807 .* Received: 9223372036854775808"
    ):
        versions.choose_version(tmp_path, 2**63)
    for name in ("²", "٣"):  # digits, and no numbers that a server reads
        (tmp_path / name).mkdir()
    assert versions.choose_version(tmp_path) == (tmp_path, 1)
    (tmp_path / str(2**63 - 1)).mkdir()
    with pytest.raises(ValueError, match="Received: 9223372036854775808"):
        versions.choose_version(tmp_path)


def test_an_export_on_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match=f"^{tmp_path} cannot hold the export: No space left on device$"):
        with versions.new_version(tmp_path, 1):
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nand where")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_export_left_goes_with_the_next_and_what_another_writes_stays(tmp_path):
    (tmp_path / ".writing-killed" / "variables").mkdir(parents=True)
    with versions.new_version(tmp_path, 1) as first:
        (first / "graph").write_text("first")
        with versions.new_version(tmp_path, 2) as second:
            assert {first, second} == set(tmp_path.glob(".writing-*"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"] and (tmp_path / "1" / "graph").exists()


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    """`export_saved_model(model, "~/served")` wrote into a folder called ~, which nobody should have to remove."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "served" / "1").mkdir(parents=True)
    model, (x, _) = descriptors.build("prototypical_network"), episode(num_tasks=1)
    message = f"that {tmp_path}/served does not hold yet. Received: 1"
    with pytest.raises(ValueError, match=message):
        saved_model.export(model, "~/served", 1)
    with pytest.raises(ValueError, match=message):
        frozen.freeze(model, x["support_x"][0], x["support_y"][0], list("abc"), "~/served", 1)
    with pytest.raises(client.ServingError, match=f"Received: {tmp_path}/served/1: "):
        client.LocalClient("~/served/1")


def data_parallel(mirrored):
    """A MAML that was built, and trained for a step, on two replicas."""
    with mirrored.scope():
        model = descriptors.build("maml")
        model.compile(optimizer=keras.optimizers.SGD(0.1))
        model.optimizer.build(model.trainable_variables)
    before = model.get_weights()
    mirrored.run(tf.function(model.train_step, autograph=False), args=(episode(),))
    assert any(not np.array_equal(one, other) for one, other in zip(before, model.get_weights()))
    return model


def with_frozen_backbone(_):
    model = descriptors.build("relation_network")
    model.backbone.trainable = False
    return model


def with_resnet12(_):
    keras.utils.set_random_seed(0)
    return zoo.PrototypicalNetwork(zoo.backbones.resnet12((16, 16, 1), filters=(2, 3, 4, 4), drop_block=2), way=WAY)


@pytest.mark.slow
@pytest.mark.parametrize("make", [data_parallel, with_frozen_backbone, with_resnet12])
def test_backbones_of_every_kind_are_exported_and_frozen_on_classes(make, mirrored, tmp_path):
    """A fresh process answers as the model does, or there is no folder; both files answer a query alike."""
    model, (x, _) = make(mirrored), episode(num_tasks=1)
    expected = tf.nn.softmax(model(x)).numpy()
    served = tf.saved_model.load(str(saved_model.export(model, tmp_path / "served"))).signatures
    answers = served["adapt_and_predict"](**request_of(x))["probabilities"]
    np.testing.assert_allclose(answers, expected, rtol=1e-3, atol=1e-4)
    folder = frozen.freeze(model, x["support_x"][0], x["support_y"][0], list("abc"), tmp_path / "frozen")
    classified = tf.saved_model.load(str(folder)).signatures["serving_default"](images=x["query_x"][0])["probabilities"]
    np.testing.assert_allclose(classified, expected[0], rtol=1e-3, atol=1e-4)


def test_a_transductive_model_is_exported_only_when_asked_for(tmp_path):
    with pytest.raises(
        ValueError, match="--allow_transductive .* Received: MAML, whose answer to a query depends on the others"
    ):
        saved_model.export(descriptors.build("maml_transductive"), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", descriptors.params(("prototypical_network",)))
def test_a_model_in_half_precision_answers_in_float32(method):
    """No client has bfloat16."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = descriptors.build(method)
    finally:
        keras.config.set_dtype_policy("float32")
    outputs = [
        (name, output, spec.dtype.name)
        for name, function in signatures.ServedModel(model, 1).signatures.items()
        for output, spec in function.structured_outputs.items()
    ]
    assert outputs and {dtype for _, _, dtype in outputs} <= {"float32", "int64", "string"}, outputs


def test_outputs_have_known_ranks(served):
    ranks = {"probabilities": 3, "labels": 2, "task_state": 2, "support_loss": 1, "support_count": 1, "embeddings": 2}
    for function in served.signatures.values():
        for name, output in function.structured_outputs.items():
            assert output.shape.rank == ranks[name], name
        if "probabilities" in function.structured_outputs:
            assert function.structured_outputs["probabilities"].shape[-1] == WAY


def test_models_that_cannot_be_served_are_named(tmp_path):
    with pytest.raises(ValueError, match="with a fixed `way`. Received: way=None"):
        saved_model.export(zoo.PrototypicalNetwork(zoo.backbones.conv4()), tmp_path)
    with pytest.raises(ValueError, match="Received: way=None, target_size=1"):
        saved_model.export(zoo.MAML(zoo.backbones.mlp(), target_size=1), tmp_path)


@pytest.mark.parametrize(
    "preset, message",
    [
        ("maml_mlp_sinusoid_5shot", "`--way` must be left out: this MAML is for regression. Received: 7"),
        ("fomaml_strided_conv4_omniglot_5way_1shot", "`--way` must be 5, the way that this FOMAML was trained with"),
    ],
)
def test_a_way_that_a_model_does_not_have_is_named(preset, message):
    with pytest.raises(ValueError, match=message):
        way_and_ink.load_with_way(preset, way=7)


def test_the_map_over_tasks_is_exported_whatever_loop_was_chosen(monkeypatch):
    model, loops = zoo.PrototypicalNetwork(zoo.backbones.pixels((2, 2, 2)), way=WAY), []
    embed = model.embed
    monkeypatch.setattr(
        model, "embed", lambda *args, **options: (loops.append(task_loop.chosen()), embed(*args, **options))[1]
    )
    request = {"support_images": np.zeros((1, WAY, *model.input_shape), np.float32)}
    request |= {"support_labels": np.arange(WAY)[None], "query_images": request["support_images"]}
    with task_loop.task_loop("batched"):
        signatures.ServedModel(model).model_answers.get_concrete_function()
        served = len(loops)
        litert._function(model, request)
        on_device = len(loops)
        state = model.adapt(request["support_images"], request["support_labels"])
        before = len(loops)
        frozen._FrozenModel(model, state, ["a", "b", "c"], False, 100)
    assert served < on_device < before < len(loops)
    assert set(loops[:on_device] + loops[before:]) == {"map"}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
