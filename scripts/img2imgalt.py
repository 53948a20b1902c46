"""img2img alternative test, as A1111 extensions find it among the scripts; really in atelier/scripts/alternative.py."""

from modules._host.builtin import script_class

Script = script_class("img2img alternative test", __name__)
