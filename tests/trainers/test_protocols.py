"""Protocols of the config, and what an evaluation is asked for in their place."""

import json
import sys

import pytest
from PIL import Image

from publishing.results import describe_protocol, few_classes_remark, presets_table
from tests.trainers.small_runs import make_config, small_classes, train  # noqa: F401
from trainers import builder, protocols, workdir
from trainers.reporting import weights_stamp, write_results
from zoo.presets.loader import preset_metadata

PROTOCOLS = {
    "5way_1shot": {"way": 5, "shot": 1, "query": 15, "overrides": {}},
    "20way_1shot": {"way": 20, "shot": 1, "query": 15, "overrides": {}},
    "5way_5shot": {"way": 5, "shot": 5, "query": 15, "overrides": {}},
}


@pytest.mark.parametrize(
    "only, counts, expected",
    [
        (None, {}, ["5way_1shot", "20way_1shot", "5way_5shot"]),
        (None, {"way": 10}, ["5way_1shot with way=10", "5way_5shot with way=10"]),
        (None, {"way": 10, "shot": 2, "query": 1}, ["5way_1shot with way=10, shot=2, query=1"]),
        (None, {"shot": 1}, ["5way_1shot", "20way_1shot"]),
        (["20way_1shot"], {"way": (3, 5)}, ["20way_1shot with way=3 to 5"]),
    ],
)
def test_counts_take_the_place_of_those_of_the_protocols(only, counts, expected):
    chosen = protocols.chosen_protocols(PROTOCOLS, only, **counts)
    assert [*chosen] == expected
    for name, protocol in chosen.items():
        assert protocol == {**PROTOCOLS[name.partition(" with ")[0]], **counts}


def test_unknown_protocols_are_named():
    with pytest.raises(ValueError, match=r"`--protocols` must be among .*5way_1shot.* Received: \['7way'\]"):
        protocols.chosen_protocols(PROTOCOLS, ["7way"])


def test_ranged_protocols_are_evaluated_to_the_end(tmp_path):
    """Ways and shots that each task draws for itself: training, results, card, picture and the published row."""
    config = make_config(num_steps=4)
    config["train"]["way"] = [2, 3]
    config["evaluation"] = {
        "episodes": 12,
        "tasks": 4,
        "protocols": {"ranged": {"way": [2, 4], "shot": [1, 3], "query": 2, "overrides": {}}},
    }
    train(config, tmp_path)
    results, tasks = protocols.evaluate_preset(tmp_path)
    write_results(tmp_path, results, tasks, weights_stamp(tmp_path))
    text = (
        "2- to 4-way 1- to 3-shot, 2 queries per class, 12 test episodes of 10 classes; batch_norm_mode running, seed 0"
    )
    card = (tmp_path / "card.md").read_text()
    assert text in card and "4 steps of way 2 to 3, shot 1, query 2, tasks 2" in card
    assert text in presets_table({tmp_path: preset_metadata(tmp_path)}, "README.md")
    assert Image.open(tmp_path / "episode.png").size[1] > 200


def test_the_card_keeps_what_was_asked_of_its_protocols(tmp_path, capsys):
    config = make_config(num_steps=4)
    config["evaluation"]["protocols"]["2way"] = {"way": 2, "shot": 1, "query": 2, "overrides": {}}
    train(config, tmp_path)
    names = ("card.md", "evaluation.json", "model.json")

    def evaluate(**options):
        results, tasks = protocols.evaluate_preset(tmp_path, **options)
        capsys.readouterr()
        write_results(tmp_path, results, tasks, weights_stamp(tmp_path))
        return [(tmp_path / name).read_text() for name in names if (tmp_path / name).is_file()]

    def ad_hoc():
        return [result["protocol"] for result in json.loads((tmp_path / "ad_hoc_evaluation.json").read_text())]

    assert len(evaluate(way=4, shot=2)) == 1  # model.json
    assert ad_hoc() == ["3way with way=4, shot=2"] and not (tmp_path / "episode.png").exists()
    whole = evaluate()
    assert len(whole) == 3 and "| 3way |" in whole[0] and "| 2way |" in whole[0]
    for options, expected in (
        ({"query": 3}, ["3way with query=3", "2way with query=3"]),
        ({"subset": "validation"}, ["3way", "2way"]),
        ({"num_episodes": 4, "only": ["2way"]}, ["2way"]),
    ):
        assert evaluate(**options) == whole
        assert ad_hoc() == expected
        assert "ad_hoc_evaluation.json" in capsys.readouterr().out
    more = evaluate(num_episodes=20, only=["2way"])
    results = preset_metadata(tmp_path)["results"]
    assert [(result["protocol"], result["episodes"]) for result in results] == [("3way", 10), ("2way", 20)]
    assert json.loads(more[1]) == results


def test_results_of_weights_that_training_has_replaced_are_not_written(tmp_path):
    files, config = workdir.Workdir(tmp_path, make_config()), make_config()
    model = builder.build_model(config)
    files.describe_model(model, {"config": config})
    files.keep_weights(model)
    stamp = weights_stamp(tmp_path)
    files.keep_weights(model)
    with pytest.raises(
        ValueError, match="while it is evaluated: evaluate again. Received: .*kept better ones meanwhile$"
    ):
        write_results(tmp_path, [], None, stamp)


def test_protocols_that_the_data_cannot_give_are_refused(tmp_path):
    train(make_config(num_steps=4), tmp_path)
    for options, message in (
        ({"way": 11}, "The subset 'test' cannot give the episodes of `3way with way=11`: `way` must be at most"),
        ({"query": 8}, "cannot give the episodes of `3way with query=8`: .* has 8. Received: shot=1, query=8"),
        ({"way": (4, 2)}, r"`way` must be an int of at least 2, or \(low, high\). Received: way=\(4, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            protocols.evaluate_preset(tmp_path, **options)


def test_an_interval_says_how_few_classes_it_comes_from():
    result = {"way": 5, "shot": 1, "query": 1, "episodes": 1000, "subset": "test", "seed": 0}
    assert describe_protocol(result) == "5-way 1-shot, 1 query per class, 1000 test episodes; seed 0"
    few, enough = {**result, "classes": 6}, {**result, "classes": 20}
    assert describe_protocol(few) == "5-way 1-shot, 1 query per class, 1000 test episodes of 6 classes; seed 0"
    assert few_classes_remark([few, enough]).startswith("The episodes come from 6 classes only: the interval covers")
    assert few_classes_remark([result, enough]) == ""
    known = {**few, "known_classes": True}
    assert "1000 test episodes of 6 known classes, those of training; seed 0" in describe_protocol(known)
    assert few_classes_remark([known]).startswith("The classes are those of training")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
