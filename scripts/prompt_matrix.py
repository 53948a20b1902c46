"""Prompt matrix, as A1111 extensions find it among the scripts; really in atelier/scripts/matrix.py."""

from modules._host.builtin import script_class

Script = script_class("Prompt matrix", __name__)
