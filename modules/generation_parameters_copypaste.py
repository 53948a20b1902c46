"""`modules.generation_parameters_copypaste`: the old name of modules/infotext_utils.py; both are one module."""

from __future__ import annotations

import sys

from modules import infotext_utils

sys.modules[__name__] = infotext_utils
