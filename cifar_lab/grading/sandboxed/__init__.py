"""Our own code that runs in the sandbox, in one process with a student's code or model.

The sandbox has no `cifar_lab.grading`: these files are handed to it as a package of another name.
Nothing in them is secret, and nothing that they say is proof: the student's code can forge all that
its own process says. The grader itself imports only `seen` and `no_gpu`.

Two modules are run: `run_notebook` runs the notebook, and `examine_model` looks at a model. The
others serve them. `cells` runs the cells, within their time, and `failures` describes one that
failed. `fake_images`, `cifar_files` and `downloads` replace what would be loaded, with
`marks` in the pixels of test images; `answers` makes up the network's answers to those. `loaders`
shortens passes, `no_gpu` and `torch_cuda` replace a GPU, `platforms` imitates Colab and Kaggle,
`own_modules` and `imports` arrange imports, `patches` and `anything` help to replace things.
`watching` and `watching_files` note what training does, and `seen` interprets it. `loading_model`,
`stored_weights`, `model_size` and `model_gradients` are parts of looking at a model.
"""
