"""Pattern: a helper package beside scripts/, and a flag that preload.py added."""

from modules.shared import cmd_opts
from sample_helper.words import word

value = (cmd_opts.sample_dir, word)
