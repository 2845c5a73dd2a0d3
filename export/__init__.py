"""From a trained model to a SavedModel that adapts where it is served."""


def export_saved_model(model, output_dir, **options):
    """Writes a model in hand as a SavedModel that learns the classes of each request: `<output_dir>/<version>/`.

    Args:
        model: a FewShotModel for classification.
        output_dir: folder of the served model; versions are folders in it.
        **options: `way`, classes of a request for a model that is made for any number (default 5), and those of
            `export.saved_model.export`; `invert` is what the model's preset says when left out.

    Returns:
        The version folder, a pathlib.Path.

    Raises:
        ValueError: where the version exists, the folder cannot be written, or the model cannot be served.
        export.verification.ExportError: where the reloaded answers differ.

    Example:
        >>> model = zoo.from_preset("prototypical_network_conv4_omniglot_60way_1shot")
        >>> export_saved_model(model, "served/letters", way=10)
    """
    from export import saved_model

    way = options.pop("way", model.way or (5 if model.supports_variable_way else None))
    served = model if way == model.way else model.with_way(way)
    return saved_model.export(served, output_dir, **{"invert": bool(model.ink), **options})


def export_classifier(classifier, output_dir, version=None, **options):
    """Writes what `model.learn` returned as an ordinary image classifier, which needs no examples: `<output_dir>/<version>/`.

    Args:
        classifier: a `zoo.picture_classifier.PictureClassifier`.
        output_dir, version: as in `export_saved_model`.
        **options: `allow_transductive` and `max_image_pixels` of `export.frozen.freeze`.

    Returns:
        The version folder, a pathlib.Path.

    Raises:
        ValueError: where the version exists, the folder cannot be written, or the model is transductive and that is not allowed.
        export.verification.ExportError: where the reloaded answers differ.
    """
    from export.frozen import freeze

    model = classifier.model if classifier.model.way else classifier.model.with_way(len(classifier.names))
    return freeze(
        model,
        classifier.support_images,
        classifier.support_labels,
        list(classifier.names),
        output_dir,
        version,
        classifier.invert,
        **options,
    )
