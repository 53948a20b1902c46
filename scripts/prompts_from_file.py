"""Prompts from file or textbox, as A1111 extensions find it among the scripts; really in atelier/scripts/lines.py."""

from modules._host.builtin import script_class

Script = script_class("Prompts from file or textbox", __name__)
