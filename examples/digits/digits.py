# /// script
# requires-python = ">=3.9"
# dependencies = ["numpy"]
# ///
"""Handwritten digits, 8 by 8 pixels each: a small neural network in numpy.

sshrun train digits             on the host
python digits.py train          on this machine
"""

import argparse
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np

digits = SimpleNamespace()
digits.ssh_remote_dir = "sshrun-digits"
digits.ssh_upload_files = ["dataset/*.csv"]
digits.ssh_download_files = ["metrics.json"]

DATASET = Path("dataset/digits.csv")
ARCHIVE = Path("digits.zip")
METRICS = Path("metrics.json")


def load():
    """The images (0 to 1) and their digits: every fifth is kept for the test."""
    table = np.loadtxt(DATASET, delimiter=",", dtype=np.float32)
    images, labels = table[:, :-1] / 16, table[:, -1].astype(int)
    test = np.arange(len(table)) % 5 == 0
    return (images[~test], labels[~test]), (images[test], labels[test])


def initial_weights(generator, hidden=96):
    """He's initialisation, which keeps the scale of what passes through a ReLU."""
    return {
        "w1": generator.normal(0, np.sqrt(2 / 64), (64, hidden)),
        "b1": np.zeros(hidden),
        "w2": generator.normal(0, np.sqrt(2 / hidden), (hidden, 10)),
        "b2": np.zeros(10),
    }


def forward(weights, images):
    """The hidden layer, and the probability of each digit (softmax, shifted so that exp cannot overflow)."""
    hidden = np.maximum(0, images @ weights["w1"] + weights["b1"])
    scores = hidden @ weights["w2"] + weights["b2"]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, odds / odds.sum(axis=1, keepdims=True)


def predict(weights, images):
    return forward(weights, images)[1].argmax(axis=1)


def loss_and_gradients(weights, images, labels):
    """The mean cross-entropy, and its slope along every weight."""
    hidden, probabilities = forward(weights, images)
    truth = np.eye(10)[labels]
    loss = -np.log((probabilities * truth).sum(axis=1) + 1e-12).mean()
    error = (probabilities - truth) / len(labels)
    hidden_error = (error @ weights["w2"].T) * (hidden > 0)
    return loss, {
        "w1": images.T @ hidden_error,
        "b1": hidden_error.sum(axis=0),
        "w2": hidden.T @ error,
        "b2": error.sum(axis=0),
    }


class Adam:
    """Adam (Kingma and Ba, 2015): each weight has its own step, from running means of slope and squared slope."""

    def __init__(self, weights, rate=0.002, keep=0.9, keep_square=0.999):
        self.rate, self.keep, self.keep_square, self.steps = rate, keep, keep_square, 0
        self.mean = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.square = {name: np.zeros_like(weight) for name, weight in weights.items()}

    def step(self, weights, gradients):
        self.steps += 1
        for name, gradient in gradients.items():
            self.mean[name] += (1 - self.keep) * (gradient - self.mean[name])
            self.square[name] += (1 - self.keep_square) * (gradient**2 - self.square[name])
            mean = self.mean[name] / (1 - self.keep**self.steps)
            square = self.square[name] / (1 - self.keep_square**self.steps)
            weights[name] -= self.rate * mean / (np.sqrt(square) + 1e-8)


def train(epochs, seed):
    (images, labels), (test_images, test_labels) = load()
    generator = np.random.default_rng(seed)
    weights = initial_weights(generator)
    optimizer = Adam(weights)
    history = []
    for epoch in range(1, epochs + 1):
        losses = []
        for batch in np.array_split(generator.permutation(len(images)), len(images) // 32):
            loss, gradients = loss_and_gradients(weights, images[batch], labels[batch])
            optimizer.step(weights, gradients)
            losses.append(loss)
        accuracy = (predict(weights, test_images) == test_labels).mean()
        history.append({"epoch": epoch, "loss": float(np.mean(losses)), "accuracy": float(accuracy)})
        print("epoch {epoch:3}  loss {loss:.3f}  test accuracy {accuracy:.1%}".format(**history[-1]), flush=True)
    with ARCHIVE.open("wb") as archive:  # numpy's .npz format is a zip file
        np.savez_compressed(archive, **weights)
    METRICS.write_text(json.dumps({"epochs": history, "seed": seed}, indent=2) + "\n")


def evaluate():
    if not ARCHIVE.exists():
        sys.exit(f"{ARCHIVE} does not exist: train first")
    weights = dict(np.load(ARCHIVE))
    _, (images, labels) = load()
    guesses = predict(weights, images)
    for digit in range(10):
        print(f"{digit}  {(guesses[labels == digit] == digit).mean():6.1%}")
    print(f"all {(guesses == labels).mean():6.1%} of {len(labels)}")


def main():
    parser = argparse.ArgumentParser(description="Recognise handwritten digits.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="write digits.zip and metrics.json")
    training.add_argument("--epochs", type=int, default=30)
    training.add_argument("--seed", type=int, default=1)
    commands.add_parser("evaluate", help="try the trained network digit by digit")
    options = parser.parse_args()
    if options.command == "train":
        train(options.epochs, options.seed)
    else:
        evaluate()


if __name__ == "__main__":
    main()
