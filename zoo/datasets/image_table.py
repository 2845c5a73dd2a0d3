"""A table of image files, in place of a folder per class."""

import csv

from zoo.datasets.image_files import repeated
from zoo.datasets.messages import counted, listed

COLUMNS = ("file", "label", "split")


def read_table(path, subset_of, by_images=False, all_there=True):
    """The classes of a CSV file with the columns file, label and, where it says so, split, in any case and order.

    Args:
        path: pathlib.Path of the CSV file, UTF-8; files in it are relative to its folder, and may be written as on Windows.
        subset_of: function from a word of the column split to the subset that it means, or None.
        by_images: whether the subsets may share classes, with other images.
        all_there: whether files that are not there are refused; else they are among the others.

    Returns:
        (files, subsets): {label: its files} in sorted order, and {subset: {label: its files}}, None without the column split.

    Raises:
        ValueError: for other columns or another encoding, a line without file or label, an unknown split, a class in two subsets,
            a file that is there twice or not at all.
    """
    files, subsets, label_of = {}, {}, {}
    for line, row in _rows(path):
        file, label = _file(path.parent, row["file"]), row["label"]
        if file in label_of:
            raise _twice(path, file, file, label_of[file], label)
        label_of[file] = label
        files.setdefault(label, []).append(file)
        if "split" in row:
            part = subset_of(row["split"])
            if part is None:
                raise ValueError(
                    f"{path}, line {line}: the split must be train, validation or test. Received: {row['split']!r}"
                )
            subsets.setdefault(part, {}).setdefault(label, []).append(file)
    missing = [file for file in label_of if not file.is_file()]
    if missing and all_there:
        raise ValueError(
            f"{path} must name files that are there, or `on_error` be 'skip'. Received: {counted(len(missing), 'file')} "
            f"not there: {listed(missing)}"
        )
    for first, other in repeated(label_of):
        raise _twice(path, first, other, label_of[first], label_of[other])
    if not by_images:
        _check_apart(path, subsets)
    return _sorted(files), {part: _sorted(classes) for part, classes in subsets.items()} or None


def _rows(path):
    """(number of the line, {column: its text}) of each."""
    with open(path, newline="", encoding="utf-8-sig") as table:
        reader = csv.DictReader(table, skipinitialspace=True)
        try:
            columns = [name.strip().lower() for name in reader.fieldnames or ()]
            if not set(COLUMNS[:2]) <= set(columns) <= set(COLUMNS) or len(set(columns)) < len(columns):
                raise ValueError(
                    f"{path} must have the columns file, label and perhaps split, with commas between. Received: {columns}"
                )
            reader.fieldnames = columns
            for row in reader:
                values = [(row[name] or "").strip() for name in columns]
                if None in row or not all(values):
                    raise ValueError(
                        f"{path}, line {reader.line_num}, must have {', '.join(columns)}. Received: {values}"
                    )
                yield reader.line_num, dict(zip(columns, values))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} must be a CSV file in UTF-8. Received: {error}") from error


def _file(folder, name):
    file = folder / name
    return folder / name.replace("\\", "/") if "\\" in name and not file.is_file() else file


def _twice(path, first, second, *labels):
    names = str(first) if first == second else f"{first} and {second}, which are one,"
    return ValueError(
        f"{path} must name each file once. Received: {names} twice, labels {labels[0]!r} and {labels[1]!r}"
    )


def _check_apart(path, subsets):
    part_of = {}
    for part, classes in subsets.items():
        for label in classes:
            if part_of.setdefault(label, part) != part:
                raise ValueError(
                    f"No class may be in two subsets of {path} unless `split_by` is 'images'. "
                    f"Received: class {label!r} in {part_of[label]!r} and {part!r}"
                )


def _sorted(classes):
    return {label: sorted(classes[label]) for label in sorted(classes)}
