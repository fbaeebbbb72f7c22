"""What runs in the sandbox, beside the student's code or a student's model.

The sandbox has no `cifar_lab.grading`: these files are handed to it as a package of another name.
Nothing in them is secret, and nothing that they say is proof: what runs in the student's process
can be forged there. The grader itself imports `seen` and `no_gpu` alone.
"""
