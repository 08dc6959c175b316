"""The chart, as SVG written by hand: one panel of grouped bars per section that has figures."""
import re
from html import escape

from . import churn, hits, memory, speed
from .figures import median, significant, size

WIDTH, MARGIN, PANEL_HEIGHT, GAP = 1000, 60, 190, 84
COLOURS = ("#0f6ea8", "#c8553d", "#6b8f3a", "#8a5ba6", "#b8860b", "#4d7c7c")
INK, FAINT = "#222222", "#d8d8d8"


class Panel:
    """groups: [(label, {server: (value, least, most)})]; `base` is drawn as a line across."""

    def __init__(self, title, groups, base=None, form=significant):
        self.title, self.groups, self.base, self.form = title, groups, base, form

    @property
    def highest(self):
        return max([most for _, bars in self.groups for _, _, most in bars.values()] + [self.base or 0]) or 1


def panels(sections):
    found = []
    if sections.get("speed", {}).get("rows"):
        found += speed_panels(sections["speed"])
    if sections.get("memory", {}).get("rows"):
        worst = memory.worst(sections["memory"])
        groups = {}
        for (value_bytes, server), row in worst.items():
            groups.setdefault(f"values of {size(value_bytes)}", {})[server] = exact(max(row["overhead"], 0))
        found.append(Panel("Overhead per item in bytes, the worst number of items (less is better)", list(groups.items())))
    if sections.get("hits", {}).get("rows"):
        groups = {}
        for row in sections["hits"]["rows"]:
            groups.setdefault(f"{row['trace'].split(' ')[0]}, {size(row['target'])}", {})[row["server"]] = exact(100 * row["hit_ratio"])
        found.append(Panel("Hit ratio in percent at equal RSS (more is better)", list(groups.items())))
    if sections.get("churn", {}).get("rows"):
        rows = sections["churn"]["rows"]
        bars = {row["server"]: (churn.waste(row["samples"][-1]), *(f(map(churn.waste, churn.second_half(row))) for f in (min, max))) for row in rows}
        found.append(Panel("RSS / live bytes after overwrites, deletes and expiries of changing sizes (less is better)", [("", bars)], base=1))
    return found


def speed_panels(result):
    """How many times more operations a CPU second of each server does than one of the reference (the first that is not ours)."""
    names = list(dict.fromkeys(row["server"] for row in result["rows"]))
    reference = names[min(1, len(names) - 1)]
    found = []
    for value_bytes in dict.fromkeys(cell[0] for cell in speed.cells(result)):
        groups = []
        for cell in speed.cells(result):
            if cell[0] != value_bytes:
                continue
            bars = {}
            for name in names:
                ratios = speed.ratios(result, cell, name, reference)
                if ratios:
                    bars[name] = (median(ratios), min(ratios), max(ratios))
            groups.append((f"{cell[1]} · {cell[2]}", bars))
        groups.sort(key=lambda group: (speed.ORDER.index(group[0].split(" · ")[0]), int(group[0].split()[-1])))
        found.append(Panel(f"Operations per CPU second of the server, {reference} = 1, values of {size(value_bytes)}; operation · depth (more is better)", groups, base=1,
                           form=lambda ratio: f"{ratio:.2f}"))
    return found


def exact(value):
    return value, value, value


def colours(drawn):
    names = list(dict.fromkeys(name for panel in drawn for _, bars in panel.groups for name in bars))
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}


def svg(sections, caption):
    """The whole chart; a chart that says so if there is nothing to draw."""
    drawn = panels(sections)
    height = 70 + len(drawn) * (PANEL_HEIGHT + GAP) + (0 if drawn else 40)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
             'font-family="Helvetica, Arial, sans-serif" font-size="12">',
             f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>', text(MARGIN, 22, caption, size_=12, fill="#666666")]
    colour_of = colours(drawn)
    parts += legend(colour_of)
    if not drawn:
        parts.append(text(MARGIN, 80, "Nothing was measured."))
    for i, panel in enumerate(drawn):
        parts += draw(panel, 100 + i * (PANEL_HEIGHT + GAP), colour_of)
    return "\n".join([*parts, "</svg>"]) + "\n"


def text(x, y, words, anchor="start", size_=12, fill=INK):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size_}" fill="{fill}">{escape(str(words))}</text>'


def legend(colour_of):
    parts, x = [], MARGIN
    for name, colour in colour_of.items():
        parts += [f'<rect x="{x}" y="36" width="12" height="12" fill="{colour}"/>', text(x + 17, 46, name)]
        x += 36 + 7 * len(name)
    return parts


def draw(panel, top, colour_of):
    bottom, inner = top + PANEL_HEIGHT, WIDTH - 2 * MARGIN
    scale = (PANEL_HEIGHT - 22) / panel.highest
    parts = [text(MARGIN, top - 8, panel.title, size_=14)]
    for tick in ticks(panel.highest):
        y = bottom - tick * scale
        parts += [f'<line x1="{MARGIN}" x2="{MARGIN + inner}" y1="{y:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>', text(MARGIN - 6, y + 4, f"{tick:g}", "end", 11)]
    slot = inner / max(len(panel.groups), 1)
    for g, (label, bars) in enumerate(panel.groups):
        wide = min(46.0, slot * 0.84 / max(len(bars), 1))
        left = MARGIN + g * slot + (slot - wide * len(bars)) / 2
        for b, (name, (value, least, most)) in enumerate(bars.items()):
            x, y = left + b * wide, bottom - value * scale
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide * 0.88:.1f}" height="{max(bottom - y, 0):.1f}" fill="{colour_of[name]}">'
                         f"<title>{escape(name)}: {panel.form(value)}</title></rect>")
            middle = x + wide * 0.44
            if most > least:
                parts.append(f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{bottom - most * scale:.1f}" y2="{bottom - least * scale:.1f}" stroke="{INK}"/>')
            parts.append(value_text(middle, bottom - most * scale - 4, panel.form(value), wide))
        for line, words in enumerate(re.split(", |_", label)):
            parts.append(text(MARGIN + (g + 0.5) * slot, bottom + 16 + 13 * line, words, "middle", 11))
    if panel.base is not None:
        y = bottom - panel.base * scale
        parts.append(f'<line x1="{MARGIN}" x2="{MARGIN + inner}" y1="{y:.1f}" y2="{y:.1f}" stroke="{INK}" stroke-dasharray="4 3"/>')
    return parts


def value_text(x, y, words, wide):
    """Upright over a narrow bar, so that neighbours do not touch."""
    if wide >= 24:
        return text(x, y, words, "middle", 10)
    return f'<text transform="translate({x + 3:.1f} {y:.1f}) rotate(-90)" font-size="9" fill="{INK}">{escape(words)}</text>'


def ticks(highest):
    """Four to eight round numbers from 0 up to the highest."""
    step = 10 ** 6
    for candidate in (s * 10 ** e for e in range(-6, 7) for s in (1, 2, 5)):
        if highest / candidate <= 8:
            step = candidate
            break
    return [round(i * step, 9) for i in range(int(highest / step + 1e-9) + 1)]
