import math

from sines.model import Sine


def test_a_step_makes_the_loss_smaller():
    samples = [(number / 10, 2 * math.sin(number / 10 + 0.5)) for number in range(50)]
    sine = Sine()
    before = sine.loss(samples)
    sine.step(samples, 0.05)
    assert sine.loss(samples) < before
