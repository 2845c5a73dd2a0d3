"""The class lists that ship, by facts of the papers."""

import json
import pathlib
import sys

import pytest

from zoo.datasets.class_lists import NAMED, classes_by_part

SIZES = {
    "cifar_fs": (64, 16, 20),
    "cub": (100, 50, 50),
    "fc100": (60, 20, 20),
    "mini_imagenet": (64, 16, 20),
    "tiered_imagenet": (351, 97, 160),
}
# Superclasses of CIFAR-100: FC100 keeps each on one side, CIFAR-FS does not.
PEOPLE = ["baby", "boy", "girl", "man", "woman"]
TREES = ["maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"]


def names_of(classes):
    lists = json.loads((pathlib.Path("zoo/datasets/splits") / f"{classes}.json").read_text(encoding="utf-8"))
    return sorted(name for names in lists.values() for name in names)


@pytest.mark.parametrize("classes", NAMED)
def test_a_list_has_the_sizes_of_its_paper(classes):
    names = names_of(classes)
    parts = classes_by_part(classes, names, 0, "the data")
    assert tuple(len(part) for part in parts.values()) == SIZES[classes]
    assert len({label for part in parts.values() for label in part}) == sum(SIZES[classes])
    assert all(names[label] == name for part in parts.values() for label, name in part.items())


def test_superclasses_are_on_one_side_in_fc100_and_mixed_in_cifar_fs():
    names = names_of("fc100")
    assert names == names_of("cifar_fs") and len(names) == 100
    fc100, cifar_fs = (classes_by_part(classes, names, 0, "cifar100") for classes in ("fc100", "cifar_fs"))
    assert set(PEOPLE) <= set(fc100["test"].values()) and set(TREES) <= set(fc100["train"].values())
    assert {"girl"} <= set(cifar_fs["train"].values()) and {"woman", "baby"} <= set(cifar_fs["test"].values())


def test_mini_and_tiered_imagenet_are_known_by_a_class():
    names = names_of("mini_imagenet")
    parts = classes_by_part("mini_imagenet", names, 0, "the data")
    assert "n01532829" in parts["train"].values()  # house finch
    assert "n01855672" in parts["validation"].values()  # goose
    assert "n01930112" in parts["test"].values()  # nematode


def test_numbered_classes_are_found_where_the_data_set_has_numbers_alone():
    """As caltech_birds2011 of tensorflow_datasets: labels 0 to 199, of classes 001 to 200."""
    parts = classes_by_part("cub", [str(label) for label in range(200)], 0, "birds")
    assert parts["train"][0] == "001.Black_footed_Albatross" and parts["validation"][1] == "002.Laysan_Albatross"
    assert list(parts["test"])[0] == 3 and sum(len(part) for part in parts.values()) == 200
    with pytest.raises(ValueError, match="Received: 190 classes that it has not: 011"):
        classes_by_part("cub", [str(label) for label in range(10)], 0, "birds")


def test_a_file_that_is_no_list_is_named(tmp_path):
    path = tmp_path / "list.json"
    with pytest.raises(FileNotFoundError, match="must be a JSON file that is there. Received: classes='.*list.json'"):
        classes_by_part(path, ["a"], 0, "data")
    for text, message in [
        ("{", "must be a JSON file: Expecting"),
        ("[1]", "none of them empty. Received: none"),
        ('{"train": ["a"], "val": [], "test": ["b"]}', "none of them empty. Received: train, validation, test"),
        ('{"train": ["a"], "val": [3], "test": ["b"]}', "must hold the lists of names"),
        ('{"train": ["a", "a"], "val": ["b"], "test": ["c"]}', "name each class once. Received: a twice in train"),
    ]:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            classes_by_part(path, ["a", "b"], 0, "data")


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
