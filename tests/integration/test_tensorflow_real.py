"""TensorFlow itself over `daos.tensorflow`. It takes gigabytes, so it is tried where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from daos.dfs import DFS
from daos.tensorflow import Checkpoint, Samples

tf = pytest.importorskip("tensorflow", reason="TensorFlow takes gigabytes: pip install tensorflow-cpu")
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]


@pytest.fixture
def hundred(url: str, place: str, fs: DFS) -> str:
    for number in range(100):
        fs.write_bytes(f"{place}/{number:03}", np.float32(number).tobytes() + b"\0")
    return url


def test_samples_come_in_order_and_shuffled(hundred: str) -> None:
    with Samples(hundred) as samples:
        dataset = samples.dataset(parallel=3, files_max=7)
        assert dataset.element_spec == tf.TensorSpec((), tf.string)
        assert int(dataset.cardinality()) == len(dataset) == 100
        told = list(dataset.as_numpy_iterator())
        assert told == [np.float32(number).tobytes() + b"\0" for number in range(100)]
        pairs = samples.dataset(with_paths=True, shuffle=5, epochs=2)
        epochs = [(path, data) for path, data in pairs.as_numpy_iterator()]
        assert sorted(epochs[:100]) == sorted(epochs[100:]) == [(b"%03d" % at, one) for at, one in enumerate(told)]
        assert epochs[:100] != epochs[100:]
        assert list(samples.dataset(with_paths=True, shuffle=5, epochs=2).as_numpy_iterator()) == epochs
        endless = samples.dataset(epochs=None)
        assert int(endless.cardinality()) == tf.data.INFINITE_CARDINALITY
        assert len(list(endless.take(250).as_numpy_iterator())) == 250
        parts = [samples.dataset(shuffle=1, worker=one, workers=3) for one in range(3)]
        assert sorted(one for part in parts for one in part.as_numpy_iterator()) == sorted(told)


def test_what_is_not_there_is_told(hundred: str, fs: DFS) -> None:
    with Samples(hundred) as samples:
        fs.remove(samples.paths[50])
        with pytest.raises(tf.errors.UnknownError, match="FileNotFoundError"):
            list(samples.dataset())


def test_a_model_learns_and_is_stored(hundred: str) -> None:
    def pair(data: object) -> tuple[object, object]:
        number = tf.io.decode_raw(tf.strings.substr(data, 0, 4), tf.float32) / 100
        return number, number * 2

    with Samples(hundred) as samples, Checkpoint(f"{hundred}-checkpoints") as checkpoint:
        dataset = samples.dataset(shuffle=1, epochs=None).map(pair).batch(20)
        model = tf.keras.Sequential([tf.keras.layers.Input((1,)), tf.keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(dataset, steps_per_epoch=5, epochs=2, verbose=0)
        wanted = model.predict(np.ones((1, 1)), verbose=0)

        tracked = tf.train.Checkpoint(weights=tf.Variable([1.0, 2.0]))
        with checkpoint.writer("step-1") as directory:
            tracked.write(str(directory / "state"))
            model.save(directory / "model.keras")
            model.export(directory / "saved", verbose=False)
        again = tf.train.Checkpoint(weights=tf.Variable([0.0, 0.0]))
        with checkpoint.reader("step-1") as directory:
            again.read(str(directory / "state")).assert_consumed()
            loaded = tf.keras.models.load_model(directory / "model.keras")
            served = tf.saved_model.load(str(directory / "saved"))
        assert again.weights.numpy().tolist() == [1.0, 2.0]
        assert loaded.predict(np.ones((1, 1)), verbose=0) == pytest.approx(wanted)
        assert served.serve(np.ones((1, 1), np.float32)).numpy() == pytest.approx(wanted)
