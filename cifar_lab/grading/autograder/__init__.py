"""The grader on other people's machines: an archive that Gradescope builds an image of.

`archive` packs it: this package as a wheel, the course's settings, `setup.sh`, which Gradescope
calls once to build the image, and `run_autograder`, which it calls for each submission.
`on_gradescope` is what these two call there.
"""
