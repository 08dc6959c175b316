"""Where the results go: results.json, the Markdown page and the chart; and with --write-docs the generated parts of docs/PERFORMANCE.md."""
import json

from . import chart, churn, hits, latency, machine, memory, policy, speed, turns
from .figures import duration
from .table import markdown_table, replace_generated

FORMAT = 1
SECTIONS = {"speed": speed, "latency": latency, "memory": memory, "hits": hits, "churn": churn, "turns": turns, "policy": policy}


def section_text(name, result):
    """Tables of one section with what they were measured on."""
    stamp = result["stamp"]
    how = f"Measured {stamp['date']} at commit {stamp['commit']}, in {duration(stamp['seconds'])}"
    if stamp["quick"]:
        how += ", with --quick: fewer and shorter runs, so that differences below a fifth say nothing"
    if stamp["priority"]:
        how += f", at nice {stamp['priority']}"
    if stamp["stopped"]:
        how += f"; **incomplete**: {stamp['stopped']}"
    body = table_of(name, result) if result.get("rows") else "Nothing was measured.\n"
    if result.get("failures"):
        body += "\n" + markdown_table(["failed", "why"], [[failure["server"], failure["why"]] for failure in result["failures"]], "<<")
    return f"{body}\n{how}. {machine.text(stamp['machine'])}; load average {stamp['load_average']:.1f} at the start. {', '.join(stamp['versions'])}.\n"


def table_of(name, result):
    try:
        return SECTIONS[name].markdown(result)
    except (ArithmeticError, LookupError, TypeError, ValueError) as failure:  # of a section that ended half-way
        if not result["stamp"]["stopped"]:
            raise
        return f"What was measured before it stopped makes no table ({failure!r}); results.json has it.\n"


def page(sections):
    parts = ["# Tidemark's cache node beside others\n", "How these figures are taken and read: docs/PERFORMANCE.md.\n"]
    for name, module in SECTIONS.items():
        if name in sections:
            parts += [f"## {module.TITLE}\n", section_text(name, sections[name])]
    return "\n".join(parts)


def caption(sections):
    stamps = [s["stamp"] for s in sections.values()]
    if not stamps:
        return "tools/compare"
    dates = sorted({stamp["date"] for stamp in stamps})
    return f"tools/compare, {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}, {stamps[0]['machine']['cpu']}, {stamps[0]['machine']['cores']} cores"


def write(directory, sections):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps({"format": FORMAT, "sections": sections}) + "\n", encoding="utf-8")
    (directory / "performance.md").write_text(page(sections) + "\n", encoding="utf-8")
    (directory / "performance.svg").write_text(chart.svg(sections, caption(sections)), encoding="utf-8")


def write_docs(root, sections):
    """Replaces the parts of the sections that were measured; the chart also shows what was measured before (docs/performance.json)."""
    data = root / "docs/performance.json"
    known = json.loads(data.read_text(encoding="utf-8"))["sections"] if data.exists() else {}
    known.update({name: thinned(result) for name, result in sections.items() if result.get("rows")})
    known = {name: known[name] for name in SECTIONS if name in known}
    path = root / "docs/PERFORMANCE.md"
    text = path.read_text(encoding="utf-8")
    for name, result in sections.items():
        if result.get("rows"):
            text = replace_generated(text, name, section_text(name, result))
    path.write_text(text, encoding="utf-8")
    (root / "docs/performance.svg").write_text(chart.svg(known, caption(known)), encoding="utf-8")
    data.write_text(json.dumps({"format": FORMAT, "sections": known}, separators=(",", ":")) + "\n", encoding="utf-8")


def thinned(result):
    """Without what only a graph over time would show."""
    rows = [dict(row, samples=churn.second_half(row)[-40:]) if "samples" in row else row for row in result["rows"]]
    return {**result, "rows": rows}
