"""The sandbox in which code that nobody has read is run. It imports nothing of the package.

`sandbox` is its front: it describes what is promised. `supervision` watches a child with `clock`
and `watch`, `child` and `enclosure` are the child's side, `bubblewrap` and `cgroup` are what Linux
offers, `files` handles folders, `answer` reads what comes back and `outcome` puts it into words.
"""
