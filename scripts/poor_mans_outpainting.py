"""Poor man's outpainting, as A1111 extensions find it; really in atelier/scripts/outpaint_plain.py."""

from modules._host.builtin import script_class

Script = script_class("Poor man's outpainting", __name__)
