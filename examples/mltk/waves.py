"""Sine, square or sawtooth? A network of a thousand weights tells the shape of a noisy wave, small enough for a sensor.

sshrun train waves          on the host
mltk train waves            on this machine
"""

import numpy as np
import tensorflow as tf
from mltk.core import DatasetMixin, EvaluateClassifierMixin, MltkModel, SshMixin, TrainMixin

SAMPLES = 64  # in a wave
SHAPES = {
    "sine": lambda phase: np.sin(2 * np.pi * phase),
    "square": lambda phase: np.where(phase % 1 < 0.5, 1.0, -1.0),
    "sawtooth": lambda phase: 2 * (phase % 1) - 1,
}


class Waves(MltkModel, TrainMixin, DatasetMixin, EvaluateClassifierMixin, SshMixin):
    pass


waves = Waves()
waves.version = 1
waves.description = "Tells the shape of a wave"
waves.classes = list(SHAPES)
waves.input_shape = (SAMPLES, 1, 1)
waves.epochs = 5
waves.batch_size = 32
waves.validation_split = 0.1

# Where it runs on the host. There is nothing to upload beside this file: it makes its own data.
waves.ssh_remote_dir = "sshrun-waves"
waves.ssh_environment = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}


def dataset(subset, test, **_):
    """Waves of one to four periods, at any phase, and their classes. In test mode a few are enough."""
    generator = np.random.default_rng(1 if subset == "training" else 2)
    count = 96 if test else 3000 if subset == "training" else 600
    labels = generator.integers(len(SHAPES), size=count)
    time = np.linspace(0, 1, SAMPLES)
    signals = np.stack(
        [list(SHAPES.values())[label](generator.uniform(1, 4) * time + generator.uniform()) for label in labels]
    )
    signals += generator.normal(0, 0.3, signals.shape)
    waves.class_counts[subset] = {name: int((labels == at).sum()) for at, name in enumerate(SHAPES)}
    return signals.reshape(-1, *waves.input_shape).astype(np.float32), np.eye(len(SHAPES), dtype=np.float32)[labels]


def build(model):
    layers = tf.keras.layers
    network = tf.keras.Sequential(
        [
            tf.keras.Input(model.input_shape),
            layers.Conv2D(8, (8, 1), activation="relu"),
            layers.MaxPooling2D((2, 1)),
            layers.Conv2D(16, (8, 1), activation="relu"),
            layers.AveragePooling2D((21, 1)),
            layers.Flatten(),
            layers.Dense(model.n_classes, activation="softmax"),
        ]
    )
    network.compile(optimizer=tf.keras.optimizers.Adam(0.005), loss="categorical_crossentropy", metrics=["accuracy"])
    return network


def some_waves():
    """What the range of each number is learned from, when the weights are turned into 8 bits."""
    for signal in waves.x[:100]:
        yield [signal[np.newaxis]]


waves.dataset = dataset
waves.build_model_function = build
waves.tflite_converter["representative_dataset"] = some_waves
waves.tflite_converter["inference_input_type"] = tf.float32
waves.tflite_converter["inference_output_type"] = tf.float32
