"""Pattern: one file is sound although another of the same extension is not."""

from modules import scripts

base = scripts.basedir()


class Script(scripts.Script):
    def title(self):
        return "Sound neighbour"

    def show(self, is_img2img):
        return scripts.AlwaysVisible
