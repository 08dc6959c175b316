"""What tools/compare is made of; its figures are explained in docs/PERFORMANCE.md.

figures.py, table.py, chart.py   arithmetic and texts: no processes, no files; tested by tests/tidy/compare_test.py
machine.py, servers.py, load.py  the machine, the servers beside each other, and tidemark-load
speed.py, latency.py, memory.py, hits.py, churn.py, turns.py, policy.py   one section each: estimate(), run(), markdown()
report.py                        results.json, the Markdown page, the generated parts of docs/PERFORMANCE.md
"""
