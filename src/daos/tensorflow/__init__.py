"""For TensorFlow: samples from files as a `tf.data.Dataset`, and checkpoints to them.

TensorFlow opens files by its own C++ file systems, and none of these is here: what it is given are samples that this
process has read, and checkpoints as directories of the host that are copied, whole, to a container and back.
It is loaded when the first `tf.data.Dataset` is made; all else works without.
"""

from __future__ import annotations

from daos.tensorflow._checkpoint import Checkpoint
from daos.tensorflow._samples import Samples

__all__ = ["Checkpoint", "Samples"]
