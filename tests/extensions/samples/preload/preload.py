"""Pattern: flags of the command line."""


def preload(parser):
    parser.add_argument("--sample-dir", type=str, help="a folder", default="here")
