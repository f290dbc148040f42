"""Writes data/samples.csv: a noisy sine, the same each time."""

import math
import random
from pathlib import Path

generator = random.Random(7)
Path("data").mkdir(exist_ok=True)
with open("data/samples.csv", "w") as file:
    for number in range(200):
        x = number / 20
        print(f"{x:.3f},{2 * math.sin(x + 0.5) + generator.gauss(0, 0.1):.6f}", file=file)
