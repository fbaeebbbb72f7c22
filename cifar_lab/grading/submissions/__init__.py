"""A submission's folder: its notebook, weights and manifest.

`submission` has the class `Submission`; `folder` says which files count, `cells` reads the
notebook, `manifest` finds what `cifar_lab.submit` wrote down.
"""
