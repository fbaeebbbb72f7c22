"""The command line, `cifar-lab`."""
