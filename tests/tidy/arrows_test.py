#!/usr/bin/env python3
"""The tidy test can fail: each rule is broken once in a small tree and must be found."""
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import arrows  # noqa: E402

BROKEN = {
    "an upward include": {"base/a.h": '// a\n#pragma once\n#include "client/b.h"\n', "client/b.h": "// b\n#pragma once\n"},
    "an I/O include in a core": {"cacheserver/a.cpp": "#include <boost/asio.hpp>\n"},
    "a core that includes io/": {"base/a.cpp": '#include "base/io/b.h"\n', "base/io/b.h": "// b\n#pragma once\n"},
    "a clock in a core": {"base/a.cpp": "auto t = std::chrono::steady_clock::now();\n"},
    "a folder cycle": {"base/x/a.h": '// a\n#pragma once\n#include "base/y/b.h"\n',
                       "base/y/b.h": '// b\n#pragma once\n#include "base/x/a.h"\n'},
    "a missing file": {"base/a.cpp": '#include "base/nowhere.h"\n'},
    "a header without its comment": {"base/a.h": "#pragma once\n"},
    "gRPC in a node": {"cacheserver/io/a.cpp": "#include <grpcpp/grpcpp.h>\n"},
}
CLEAN = {"base/a.h": "// a\n#pragma once\n", "client/b.cpp": '#include "base/a.h"\n', "base/io/c.cpp": "#include <thread>\n",
         "base/d.cpp": "// steady_clock::now() is only spoken of\n"}


def findings(files):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return arrows.check(root)


failures = [f"not found: {what}" for what, files in BROKEN.items() if not findings(files)]
failures += [f"false alarm: {f}" for f in findings(CLEAN)]
print("\n".join(failures) if failures else f"{len(BROKEN)} broken rules found, none imagined")
sys.exit(1 if failures else 0)
