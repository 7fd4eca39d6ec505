from pathlib import Path

import pytest

from inkdot.errors import UserError
from inkdot.storage.layout import RunLayout
from inkdot.storage.run_table import write_run_table

TABLE = "slide_id,path,stain\na,a.svs,pap\n"


def test_a_table_of_a_person_is_not_replaced(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    mine = "\ufeffslide_id,path,consent form\r\na,a.svs,yes\r\n"
    layout.slides_csv.write_text(mine, encoding="utf-8", newline="")
    with pytest.raises(
        UserError, match=r"slides\.csv: .* column 'consent form', which would be lost; choose another"
    ):
        write_run_table(layout, TABLE)
    assert layout.slides_csv.read_bytes() == mine.encode()


def test_tables_of_earlier_runs_and_without_further_columns_are(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    layout.slides_csv.write_text("slide_id,path\nb,b.svs\n")
    write_run_table(layout, TABLE)
    assert layout.slides_csv.read_text() == TABLE
    layout.ledger.write_text("")  # a run was here: its table had further heads
    layout.slides_csv.write_text("slide_id,path,grade\nb,b.svs,high\n")
    write_run_table(layout, TABLE)
    assert layout.slides_csv.read_text() == TABLE
