"""Pattern: a helper package beside scripts/, and a flag that preload.py added."""

from sample_helper.words import word

from modules.shared import cmd_opts

value = (cmd_opts.sample_dir, word)
