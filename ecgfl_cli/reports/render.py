"""One HTML page that needs nothing else: no script, no link, no font from elsewhere."""

from collections.abc import Iterable, Sequence

from ecgfl_cli.printable import html_text


def page(title: str, body: str) -> str:
    """The whole page. title : is escaped here; body : HTML, in which the caller has escaped what is not ours."""
    return _FRAME.format(title=html_text(title), body=body)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "rows") -> str:
    """Every cell is escaped. kind : its CSS class."""
    head = "".join(f"<th>{html_text(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<table class="{kind}">{f"<tr>{head}</tr>" if any(columns) else ""}{body}</table>'


_FRAME = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>ecgfl: {title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; color: #1d2733; max-width: 1000px; margin: 2em auto; padding: 0 1em }}
h1 {{ font-size: 1.5em }} h2 {{ font-size: 1.1em; margin: 2em 0 .5em }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; display: block; overflow-x: auto }}
th, td {{ text-align: left; padding: .3em .9em .3em 0; border-bottom: 1px solid #dde3ea; vertical-align: top }}
th {{ color: #5a6875; font-weight: 600 }}
.summary td:first-child {{ color: #5a6875; white-space: nowrap }}
.charts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(360px, 1fr)); gap: 1em }}
svg {{ width: 100%; height: auto; border: 1px solid #dde3ea; border-radius: 4px }}
svg text {{ font-size: 11px; fill: #5a6875 }} svg .title {{ font-size: 13px; font-weight: 600; fill: #1d2733 }}
.grid {{ stroke: #e6ebf0 }} polyline {{ fill: none; stroke-width: 2 }}
.note {{ color: #5a6875 }}
@media print {{ body {{ margin: 0 }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""
