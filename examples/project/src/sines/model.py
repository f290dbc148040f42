"""amplitude * sin(x + shift), fitted by gradient descent."""

import math


class Sine:
    def __init__(self, amplitude=1.0, shift=0.0):
        self.amplitude = amplitude
        self.shift = shift

    def __call__(self, x):
        return self.amplitude * math.sin(x + self.shift)

    def loss(self, samples):
        return sum((self(x) - y) ** 2 for x, y in samples) / len(samples)

    def step(self, samples, rate):
        """One step against the gradient of the mean squared error."""
        of_amplitude = of_shift = 0.0
        for x, y in samples:
            error = self(x) - y
            of_amplitude += 2 * error * math.sin(x + self.shift) / len(samples)
            of_shift += 2 * error * self.amplitude * math.cos(x + self.shift) / len(samples)
        self.amplitude -= rate * of_amplitude
        self.shift -= rate * of_shift
