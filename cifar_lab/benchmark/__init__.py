"""Speed of training with the library, compared with a baseline on one machine in one run.

`comparison` measures pairs of epochs in turn, each way in a process of its own (`worker`).
`baseline` is the course's own way, `library` is `fit`, `student` a network as a student writes one.
`profile` says where the time goes, `report` and `plot` show it.
"""
