"""Two spirals, wound into each other: a small network in PyTorch tells the points of one from those of the other.

sshrun train spirals --epochs 300       on the host
python spirals.py train --epochs 300    on this machine
"""

import argparse
import json
import math
import zipfile
from pathlib import Path
from types import SimpleNamespace

import torch

spirals = SimpleNamespace()
# The host's own PyTorch, which fits its GPU and its driver: no virtual environment of sshrun's.
spirals.ssh_create_venv = False
spirals.ssh_startup_cmds = ["if command -v conda >/dev/null; then conda activate pytorch; fi"]
spirals.ssh_remote_dir = "sshrun-spirals"
spirals.ssh_environment = {"PYTHONUNBUFFERED": 1}
spirals.ssh_download_files = ["metrics.json"]
spirals.ssh_archive = "spirals.zip"

ARCHIVE = Path("spirals.zip")
WEIGHTS = "weights.pt"
METRICS = Path("metrics.json")


def points(count, generator):
    """Points of both spirals with some noise, and which spiral each belongs to."""
    labels = torch.randint(2, (count,), generator=generator)
    along = torch.rand(count, generator=generator).sqrt() * 3 * math.pi
    angle = along + labels * math.pi
    places = torch.stack([along * angle.cos(), along * angle.sin()], dim=1) / 10
    return places + 0.02 * torch.randn(count, 2, generator=generator), labels


def network():
    return torch.nn.Sequential(
        torch.nn.Linear(2, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 2)
    )


def train(epochs, seed):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    places, labels = (tensor.to(device) for tensor in points(2000, generator))
    test_places, test_labels = (tensor.to(device) for tensor in points(500, generator))
    model = network().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for epoch in range(1, epochs + 1):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(places), labels)
        loss.backward()
        optimizer.step()
        if epoch % 20 == 0 or epoch == epochs:
            with torch.no_grad():
                accuracy = (model(test_places).argmax(dim=1) == test_labels).float().mean().item()
            history.append({"epoch": epoch, "loss": loss.item(), "accuracy": accuracy})
            print("epoch {epoch:4}  loss {loss:.3f}  test accuracy {accuracy:.1%}".format(**history[-1]))
    METRICS.write_text(json.dumps({"device": str(device), "epochs": history}, indent=2) + "\n")
    with zipfile.ZipFile(ARCHIVE, "w") as archive, archive.open(WEIGHTS, "w") as weights:
        torch.save({name: tensor.cpu() for name, tensor in model.state_dict().items()}, weights)


def evaluate():
    model = network()
    with zipfile.ZipFile(ARCHIVE) as archive, archive.open(WEIGHTS) as weights:
        model.load_state_dict(torch.load(weights, weights_only=True))
    places, labels = points(5000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        right = model(places).argmax(dim=1) == labels
    print(f"{right.float().mean().item():.1%} of {len(labels)}")


def main():
    parser = argparse.ArgumentParser(description="Tell two spirals apart.")
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="write spirals.zip and metrics.json")
    training.add_argument("--epochs", type=int, default=300)
    training.add_argument("--seed", type=int, default=1)
    commands.add_parser("evaluate", help="try the trained network on new points")
    options = parser.parse_args()
    if options.command == "train":
        train(options.epochs, options.seed)
    else:
        evaluate()


if __name__ == "__main__":
    main()
