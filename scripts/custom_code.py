"""Custom code, as A1111 extensions find it among the scripts; really in modules/_host/custom_code.py."""

from modules._host.custom_code import CustomCode as Script

__all__ = ["Script"]
