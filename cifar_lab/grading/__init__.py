"""The checks that an instructor runs on a submission, and a student on their own work.

    pytest --pyargs cifar_lab.grading --submission FOLDER --assignment a
    cifar-lab grade SUBMISSIONS --assignment a --jobs 2

`collecting` makes folders of what a course site exports, and `gradebook` fills the site's table.
`submissions` finds and reads what was handed in, and `reading` the figures and text in it.
`isolation` runs unknown code in a sandbox, `sandboxed` is our code that runs there, and
`sandboxing` starts it. `notebook_run` and `evidence` gather what is known of a submission,
`attempts` chooses how its notebook is run, `outcomes` and `packages` say what a failure means.
`checks` judges the evidence by the `settings`, which `settings_file` reads; `verdicts` add up to a
grade, which `reports` writes to files. `sessions` grades one submission, a class, or a student's
own work.

Adding a check is one function in a module of `checks`.
"""
