"""Outpainting mk2, as A1111 extensions find it among the scripts; really in atelier/scripts/outpaint.py."""

from modules._host.builtin import script_class

Script = script_class("Outpainting mk2", __name__)
