"""Pattern: an object in the place of the CFG scale that counts its multiplications."""

from modules import scripts


class Counting(float):
    def __new__(cls, value, schedule):
        return float.__new__(cls, value)

    def __init__(self, value, schedule):
        self.schedule = schedule
        self.count = 0

    def __mul__(self, other):
        value = self.schedule[self.count % len(self.schedule)]
        self.count += 1
        return value * other

    __rmul__ = __mul__


made = []


class Script(scripts.Script):
    def title(self):
        return "Counting CFG"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p, *args):
        if "counted" in p.prompt:
            p.cfg_scale = Counting(7.0, [7.0, 1.0, 3.0])
            made.append(p.cfg_scale)
