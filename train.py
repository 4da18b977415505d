"""Train a recognizer. Flags: python train.py --help"""

import sys

from kuzushiji_tf.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("train"))
