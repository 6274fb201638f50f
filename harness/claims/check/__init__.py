"""Any published figure: can it be reproduced here, with what, at what price, and is it so.

``resolve`` finds the task, the metric and the model that a figure means, ``protocol`` says what is
known of how it was made, ``takes`` plans the run, ``verdicts`` judges runs; ``figures`` puts it
together. ``tables`` does the same for a table of a study.
"""

from harness.claims.check.figures import Asked, Checked, check_figures, runs_to_check
from harness.claims.check.tables import check_table, check_target, read_table

__all__ = [
    "Asked",
    "Checked",
    "check_figures",
    "check_table",
    "check_target",
    "read_table",
    "runs_to_check",
]
