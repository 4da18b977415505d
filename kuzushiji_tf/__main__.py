"""`python -m kuzushiji_tf <command>`."""

import sys

from kuzushiji_tf.cli import main

sys.exit(main())
