"""Pattern: a script that fails in process, and one whose run fails."""

from modules import scripts

calls = []


class Raising(scripts.Script):
    def title(self):
        return "Raises"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def process(self, p, *args):
        calls.append("process")
        if "boom" in p.prompt:
            raise RuntimeError("boom in process")


class RaisingRun(scripts.Script):
    def title(self):
        return "Raises in run"

    def run(self, p, *args):
        raise RuntimeError("boom in run")
