"""Loopback, as A1111 extensions find it among the scripts; really in atelier/scripts/loopback.py."""

from modules._host.builtin import script_class

Script = script_class("Loopback", __name__)
