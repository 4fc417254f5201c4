"""A page that needs nothing else: the frame and the tables that every report of ours is made of."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
table{border-collapse:collapse}td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #8884}
th:first-child,td:first-child{text-align:left}.missed{color:#b00}p{overflow-x:auto}svg{margin-right:.5rem}
:root{color-scheme:light dark}@media(prefers-color-scheme:dark){.missed{color:#f77}}"""
_MISSED: Final = ' class="missed"'

Cell = str | float | None


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers under their heads; None is shown as a dash."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def document(title: str, body: str, style: str = "") -> str:
    """The whole page: `body` is HTML under the title, `style` comes behind the common one."""
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>{STYLE}{style}</style>"
    )
    title = html.escape(title)
    return f'<!doctype html><html lang="en"><head>{head}</head><body><h1>{title}</h1>{body}</body></html>\n'


def as_table(table: Table, missed: Sequence[bool] = ()) -> str:
    """A table; `missed` says which rows break a promise, none if it is empty."""
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in table.heads)
    marks = missed or [False] * len(table.rows)
    return f"<table><tr>{heads}</tr>{''.join(map(_row, table.rows, marks))}</table>"


def _row(cells: Sequence[Cell], missed: bool) -> str:
    texts = [html.escape(c) if isinstance(c, str) else "-" if c is None else number(c) for c in cells]
    return f"<tr{_MISSED if missed else ''}>{''.join(f'<td>{text}</td>' for text in texts)}</tr>"


def number(value: float, digits: int = 4) -> str:
    """So many digits, and all those before the point: no powers of ten."""
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
