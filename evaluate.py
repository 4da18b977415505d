"""Score a trained or exported recognizer. Flags: python evaluate.py --help"""

import sys

from kuzushiji_tf.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("evaluate"))
