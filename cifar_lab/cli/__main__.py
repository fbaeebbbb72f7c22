"""The command line, as `python -m cifar_lab.cli`."""

import sys

from cifar_lab.cli.main import main

sys.exit(main())
