"""The command line, as `python -m cifar_lab`."""

import sys

from cifar_lab.cli.main import main

sys.exit(main())
