"""A table of image files, in place of a folder per class."""

import csv

from zoo.datasets.messages import counted, listed

COLUMNS = ("file", "label", "split")


def read_table(path, subset_of):
    """The classes of a CSV file with the columns file, label and, where it says so, split.

    Args:
        path: pathlib.Path of the CSV file, UTF-8; files in it are relative to its folder.
        subset_of: function from a word of the column split to the subset that it means, or None.

    Returns:
        (files, subsets): {label: its files} in sorted order, and {label: its subset}, None without the column split.

    Raises:
        ValueError: for other columns, a line without file or label, an unknown split, a class in two subsets, a file that is
            there twice or not at all.
    """
    files, subsets, label_of = {}, {}, {}
    with open(path, newline="", encoding="utf-8-sig") as table:
        reader = csv.DictReader(table, skipinitialspace=True)
        columns = [name.strip() for name in reader.fieldnames or ()]
        if not set(COLUMNS[:2]) <= set(columns) <= set(COLUMNS):
            raise ValueError(f"{path} must have the columns file, label and perhaps split. Received: {columns}")
        reader.fieldnames = columns
        for row in reader:
            values = [(row[name] or "").strip() for name in columns]
            if None in row or not all(values):
                raise ValueError(f"{path}, line {reader.line_num}, must have {', '.join(columns)}. Received: {values}")
            named = dict(zip(columns, values))
            file, label = path.parent / named["file"], named["label"]
            if file in label_of:
                labels = f"{label_of[file]!r} and {label!r}"
                raise ValueError(f"{path} must name each file once. Received: {named['file']} twice, labels {labels}")
            label_of[file] = label
            files.setdefault(label, []).append(file)
            if "split" in named:
                part = subset_of(named["split"])
                if part is None:
                    raise ValueError(
                        f"{path}, line {reader.line_num}: the split must be train, validation or test. "
                        f"Received: {named['split']!r}"
                    )
                if subsets.setdefault(label, part) != part:
                    raise ValueError(
                        f"No class may be in two subsets of {path}. "
                        f"Received: class {label!r} in {subsets[label]!r} and {part!r}"
                    )
    missing = [file for file in label_of if not file.is_file()]
    if missing:
        raise ValueError(f"{path} names {counted(len(missing), 'file')} that are not there: {listed(missing)}")
    return {label: sorted(files[label]) for label in sorted(files)}, subsets or None
