"""Search with KerasTuner for the multilayer perceptron that `benchmarks/search.py` describes.

    python search.py TASK.json DATA.npz RESULT.json

It runs in its own environment and knows nothing of Tandem. The test split is read once, after the search: for the
winner, which is trained again on the whole training split.
"""

import contextlib
import json
import math
import sys
import tempfile
import time
from typing import Any

import keras
import keras_tuner
import numpy as np

CLASSES = 10
FIRST_POINTS = 5  # random trials before the first Bayesian one; KerasTuner's default would be more than all trials


class BudgetSpentError(Exception):
    """The trials have spent as many epochs as the search may spend. It ends the search between two trials."""


class Space(keras_tuner.HyperModel):
    """The space of the task, as KerasTuner takes it.

    Args:
        space: paths of fields and their domains, in Tandem's notation.
        epochs: of a whole training, over which the learning rate falls to 0 along a cosine, as Tandem's does.

    Attributes:
        epochs_spent: the epochs of all trainings so far.
    """

    def __init__(self, space: dict[str, Any], epochs: int) -> None:
        super().__init__()
        self._space, self._epochs = space, epochs
        self.epochs_spent = 0

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the compiled network of a trial: pixels are uint8, and scaling is its first layer."""
        network = self._space["network"]
        depth, width, activation, dropout = (
            _choose(hp, name, network[name]) for name in ("depth", "width", "activation", "dropout")
        )
        layers: list[keras.Layer] = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        for _ in range(depth):
            layers += [keras.layers.Dense(width, activation), keras.layers.Dropout(dropout)]
        model = keras.Sequential([*layers, keras.layers.Dense(CLASSES)])
        model.compile(
            self._create_optimizer(hp),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        self._choose_batch_size(hp)  # so that KerasTuner knows of it before the first trial
        return model

    def fit(self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **options: Any) -> Any:
        """Train a trial's network and count its epochs.

        A trial that Hyperband continues begins with the epoch, and so with the learning rate, at which it was stopped.
        """
        first_rate = hp.get("learning_rate")

        def schedule(epoch: int, _: float) -> float:
            return float(first_rate * (1 + math.cos(math.pi * epoch / self._epochs)) / 2)

        callbacks = [*options.pop("callbacks", []), keras.callbacks.LearningRateScheduler(schedule)]
        history = model.fit(*args, batch_size=self._choose_batch_size(hp), callbacks=callbacks, **options)
        self.epochs_spent += len(history.epoch)
        return history

    def _create_optimizer(self, hp: keras_tuner.HyperParameters) -> keras.Optimizer:
        choices = {choice["name"]: choice for choice in self._space["optimizer"]["choice"]}
        chosen = dict(choices[hp.Choice("optimizer", list(choices))])
        rate = _choose(hp, "learning_rate", self._space["optimizer.learning_rate"])
        kinds = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
        return kinds[chosen.pop("name")](learning_rate=rate, **chosen)

    def _choose_batch_size(self, hp: keras_tuner.HyperParameters) -> int:
        return int(_choose(hp, "batch_size", self._space["batch_size"]))


def _choose(hp: keras_tuner.HyperParameters, name: str, domain: dict[str, Any]) -> Any:
    """Return a parameter's value in this trial."""
    if "choice" in domain:
        return hp.Choice(name, domain["choice"])
    low, high = domain.get("range") or domain["log_range"]
    if isinstance(low, int):
        return hp.Int(name, low, high)
    return hp.Float(name, low, high, sampling="log" if "log_range" in domain else "linear")


def create_tuner(task: dict[str, Any], space: Space, folder: str) -> keras_tuner.Tuner:
    """Return the tuner of a task. It ends the search when the budget is spent.

    Args:
        task: has `tuner` ("hyperband" or "bayesian"), `epochs` of a whole trial, `budget` in epochs, and `seed`.
        space: the trials' networks. It counts the epochs.
        folder: for KerasTuner's files.
    """
    kind = {"hyperband": keras_tuner.Hyperband, "bayesian": keras_tuner.BayesianOptimization}[task["tuner"]]

    class Budgeted(kind):  # type: ignore[misc, valid-type]
        def on_trial_end(self, trial: Any) -> None:
            super().on_trial_end(trial)
            if space.epochs_spent >= task["budget"]:
                raise BudgetSpentError

    common = {"objective": "val_loss", "seed": task["seed"], "directory": folder, "project_name": "search"}
    if task["tuner"] == "hyperband":
        return Budgeted(space, max_epochs=task["epochs"], factor=3, hyperband_iterations=None, **common)
    return Budgeted(space, max_trials=task["budget"], num_initial_points=FIRST_POINTS, **common)


def main(task_file: str, data_file: str, result_file: str) -> int:
    """Search, train the winner on the whole training split, measure it, and write the result as JSON."""
    with open(task_file) as file:
        task = json.load(file)
    data = np.load(data_file)
    train, validation, whole, test = (
        (data[f"{part}_images"], data[f"{part}_labels"]) for part in ("train", "validation", "whole", "test")
    )
    keras.utils.set_random_seed(task["seed"])
    space = Space(task["space"], task["epochs"])
    started_at = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        tuner = create_tuner(task, space, folder)
        with contextlib.suppress(BudgetSpentError):
            tuner.search(*train, validation_data=validation, epochs=task["epochs"], verbose=0)
    search_s, spent = time.perf_counter() - started_at, space.epochs_spent
    (best,) = tuner.get_best_hyperparameters(1)
    keras.utils.set_random_seed(task["seed"])
    model = space.build(best)
    space.fit(best, model, *whole, epochs=task["epochs"], verbose=0)
    test_loss, test_accuracy = model.evaluate(*test, verbose=0)
    trials = tuner.oracle.trials.values()
    result = {
        "epochs": spent,
        "trials": len(trials),
        "search_s": search_s,
        "total_s": time.perf_counter() - started_at,
        "parameters": best.values,
        "validation_loss": min(trial.score for trial in trials if trial.score is not None),
        "test_accuracy": {"tensorflow": test_accuracy},
        "test_loss": {"tensorflow": test_loss},
        "versions": {"keras": keras.__version__, "keras_tuner": keras_tuner.__version__},
    }
    with open(result_file, "w") as file:
        json.dump(result, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
