"""Starts the kernel as Colab does, so that `google.colab` is loaded before the first cell."""

from google.colab._kernel import Kernel
from ipykernel.kernelapp import IPKernelApp

if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=Kernel, extensions=["google.colab"])
