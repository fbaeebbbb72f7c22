"""How fast the library trains, beside the plain way of the course, on one machine in one run.

`comparison` measures pairs of epochs in turn, each way in a process of its own (`side`); `plain` is
the course's way, `library` is `fit`; `profile` says where the time goes.
"""
