"""A generator whose numbers a test chooses."""


class Drawn:
    """Gives the listed numbers one after the other; each must lie in the range that is asked for."""

    def __init__(self, *values):
        self.values = list(values)

    def uniform(self, low, high):
        value = self.values.pop(0)
        assert low <= value <= high
        return value

    def integers(self, bound):
        value = self.values.pop(0)
        assert 0 <= value < bound
        return value
