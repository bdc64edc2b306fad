"""The plugin that brings the built-in tasks."""

from __future__ import annotations

from nas.plugins.hookspecs import hookimpl
from nas.training.task import Task


@hookimpl
def nas_tasks() -> list[Task]:
    """The data sets that ``--data`` may name."""
    return [
        Task(
            "digits",
            "nas.training.digits:load_digits",
            "scikit-learn's 1,797 handwritten digits, 8x8; digits:16 or digits:32 enlarges them",
        ),
        Task(
            "cifar10",
            "nas.training.cifar:load_cifar10",
            "cifar10:PATH, the folder of the official binary files (data_batch_1.bin, ...)",
            takes_path=True,
        ),
        Task(
            "cifar100",
            "nas.training.cifar:load_cifar100",
            "cifar100:PATH, the folder of the official binary files (train.bin, test.bin)",
            takes_path=True,
        ),
        Task(
            "folder",
            "nas.training.folder:load_folder",
            "folder:PATH or folder:PATH@64, one folder of images per class, resized to 32 (64) pixels",
            takes_path=True,
        ),
        Task(
            "npz",
            "nas.training.npz:load_npz",
            "npz:PATH, arrays x and y, or x_train, y_train, x_val and y_val",
            takes_path=True,
        ),
        Task(
            "hf",
            "nas.training.hf:load_hf",
            "hf:NAME or hf:NAME@64, a data set of images from the Hugging Face hub (extra hf)",
        ),
    ]
