"""Grades as files: JSON, JUnit, Gradescope's, the student's page, the class's table and page.

`files` writes and reads them; each format has a file of its own. Pages are built of `markup`, in
which every text is escaped; `readable` makes texts of unknown origin harmless, `figures` reads a
grade's facts, `charts` draws them, `causes` and `similar` find what belongs together.
"""

from cifar_lab.grading.reports.class_page import class_page
from cifar_lab.grading.reports.class_parts import PAGE
from cifar_lab.grading.reports.files import (
    CLASS,
    GRADE,
    GRADES,
    GRADESCOPE,
    JUNIT,
    read_grade,
    write_class,
    write_reports,
)
from cifar_lab.grading.reports.for_gradescope import gradescope
from cifar_lab.grading.reports.for_tests import junit
from cifar_lab.grading.reports.student_page import page
from cifar_lab.grading.reports.table import grades_csv
from cifar_lab.grading.reports.terminal import SIGNS, details, summary, text_table

__all__ = [
    "CLASS",
    "GRADE",
    "GRADES",
    "GRADESCOPE",
    "JUNIT",
    "PAGE",
    "SIGNS",
    "class_page",
    "details",
    "grades_csv",
    "gradescope",
    "junit",
    "page",
    "read_grade",
    "summary",
    "text_table",
    "write_class",
    "write_reports",
]
