"""Training: tasks, data, the recipe, and the evaluator that turns an architecture into an accuracy."""

from typing import TYPE_CHECKING

from nas._lazy import lazy_exports

if TYPE_CHECKING:
    from nas.training.assembly import assemble
    from nas.training.build import train_form, trained_module, training_module
    from nas.training.evaluator import TrainingEvaluator
    from nas.training.fixed_batch import proxy_batch
    from nas.training.open import absolute_reference, open_task
    from nas.training.proxy import Proxy, ProxyBatch
    from nas.training.recipe import Recipe, recipe_from
    from nas.training.task import Task, TaskData

__all__ = [
    "Proxy",
    "ProxyBatch",
    "Recipe",
    "Task",
    "TaskData",
    "TrainingEvaluator",
    "absolute_reference",
    "assemble",
    "open_task",
    "proxy_batch",
    "recipe_from",
    "train_form",
    "trained_module",
    "training_module",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Proxy": "nas.training.proxy",
        "ProxyBatch": "nas.training.proxy",
        "Recipe": "nas.training.recipe",
        "Task": "nas.training.task",
        "TaskData": "nas.training.task",
        "TrainingEvaluator": "nas.training.evaluator",
        "absolute_reference": "nas.training.open",
        "assemble": "nas.training.assembly",
        "open_task": "nas.training.open",
        "proxy_batch": "nas.training.fixed_batch",
        "recipe_from": "nas.training.recipe",
        "train_form": "nas.training.build",
        "trained_module": "nas.training.build",
        "training_module": "nas.training.build",
    },
)
