"""What runs in the sandbox, beside the student's code or a student's model. Never imported here.

The sandbox has no `cifar_lab.grading`: these files are handed to it as a folder, and import each
other by their plain names. Nothing in them is secret, and nothing that they say is proof: what
runs in the student's process can be forged there.
"""
