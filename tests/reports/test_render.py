"""Pages show every value as text, whatever it contains, and load nothing from elsewhere."""

import jinja2
import pytest

from ecgfl_cli.reports.charts import legend, line_chart
from ecgfl_cli.reports.render import render

MARKUP = "<script>alert(1)</script>&\"'"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&#34;&#39;"


def comparison(**values: object) -> str:
    empty = {"title": "t", "strategies": [], "charts": [], "runs": [], "reports": []}
    return render("comparison.html", **{**empty, **values})


@pytest.mark.parametrize(
    "values",
    [
        {"title": MARKUP},
        {"strategies": legend([MARKUP])},
        {"charts": [line_chart(MARKUP, [1], [0.5])]},
        {"runs": [(MARKUP, "finished")]},
        {"reports": [MARKUP]},
    ],
    ids=lambda values: next(iter(values)),
)
def test_markup_in_a_value_is_escaped(values: dict[str, object]) -> None:
    page = comparison(**values)
    assert ESCAPED in page
    assert "<script" not in page
    assert page.count("&amp;lt;") == 0


def test_control_characters_are_shown_as_escapes() -> None:
    page = comparison(runs=[("\x1b[31m", "\u202egnp", "\udcfc")])
    assert r"<td>\x1b[31m</td><td>\u202egnp</td><td>\udcfc</td>" in page
    page.encode("utf-8")


def test_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="strategies"):
        render("comparison.html", title="t", charts=[], runs=[], reports=[])
