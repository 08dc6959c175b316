"""Markdown tables."""


def markdown_table(header, rows, align=None):
    """`align`: one of '<' and '>' per column; numbers to the right by default, the first column to the left."""
    align = align or "<" + ">" * (len(header) - 1)
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under {len(header)} headings: {row}")
    text = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in [header, *rows]]
    rule = ["---" if a == "<" else "--:" for a in align]
    lines = ["| " + " | ".join(cells) + " |" for cells in text]
    return "\n".join([lines[0], "|" + "|".join(rule) + "|", *lines[1:]]) + "\n"


def replace_generated(page, section, text):
    """The page with the part between the marks of this section replaced; ValueError if it has no such marks."""
    begin, end = marks(section)
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"no generated part '{section}': it is written between {begin} and {end}")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def marks(section):
    return f"<!-- tools/compare {section}: begin -->", f"<!-- tools/compare {section}: end -->"
