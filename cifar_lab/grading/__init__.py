"""The checks that an instructor runs on a submission, and a student on the own work.

    pytest --pyargs cifar_lab.grading --submission FOLDER --assignment a
    cifar-lab grade SUBMISSIONS --assignment a --jobs 2

`table` has all checks with their points and tolerances, `checks_*` what each of them looks at,
`evidence` what they look at, `sandbox` where a student's code runs, `drivers` what runs there,
`reports` the files that come out.
"""
