"""SD upscale, as A1111 extensions find it among the scripts; really in atelier/scripts/upscale.py."""

from modules._host.builtin import script_class

Script = script_class("SD upscale", __name__)
