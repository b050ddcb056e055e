"""Render the HTML pages from the Jinja2 templates in `templates/`.

A page is one template that extends `page.html`. `parts.html` holds the macros that pages share, and
`chart.svg` draws a `charts.Chart`. A page needs nothing else: no script, no link to another site,
no font from elsewhere.
"""

from jinja2 import Environment, PackageLoader, StrictUndefined

from ecgfl_cli.printable import printable


def render(template: str, /, **values: object) -> str:
    """Render one template of this package.

    Every value is escaped: names of sites, reasons and errors come from others. No value can carry
    markup.

    Parameters
    ----------
    template
        File name in `templates/`, for instance "run.html".
    **values
        The variables of the template.

    Returns
    -------
    str
        The page. It can always be encoded as UTF-8.

    Raises
    ------
    jinja2.TemplateNotFound
        There is no such template.
    jinja2.UndefinedError
        The template uses a variable that is not in `values`.
    """
    return _ENVIRONMENT.get_template(template).render(values)


def _plain(value: object) -> object:
    """Escape the control characters of a text. Markup that a macro returned is already safe."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value


_ENVIRONMENT = Environment(
    loader=PackageLoader("ecgfl_cli.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_plain,
    trim_blocks=True,
    lstrip_blocks=True,
)
