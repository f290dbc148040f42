"""python -m sines.train --config configs/base.json"""

import argparse
import json
from pathlib import Path

from sines.model import Sine


def main():
    parser = argparse.ArgumentParser(description="Fits a sine to samples.")
    parser.add_argument("--config", default="configs/base.json")
    parser.add_argument("--output", default="runs/latest", type=Path)
    arguments = parser.parse_args()
    with open(arguments.config) as file:
        config = json.load(file)
    with open(config["samples"]) as file:
        samples = [tuple(map(float, line.split(","))) for line in file]
    sine = Sine()
    for step in range(config["steps"] + 1):
        if step % 100 == 0:
            print(f"step {step}: loss {sine.loss(samples):.4f}")
        sine.step(samples, config["rate"])
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "model.json").write_text(
        json.dumps({"amplitude": round(sine.amplitude, 4), "shift": round(sine.shift, 4)}) + "\n"
    )


if __name__ == "__main__":
    main()
