"""tidemark-load, from its own CPU."""
import json
import subprocess

from .servers import Failure, settle

RUN_SECONDS_MAX = 300  # of one run: then the server is stuck
OPERATIONS_PER_SECOND = 250_000  # filling, churning and replaying, pipelined, on a quiet machine: for estimates


class Generator:
    def __init__(self, bin_dir, cpu, priority=0):
        self.program, self.cpu, self.priority = bin_dir / "tidemark-load", cpu, priority

    def start(self, server, **options):
        """options: fill=True -> --fill, value_bytes=32 -> --value-bytes 32."""
        words = [str(self.program), "--port", str(server.port), "--protocol", server.kind.protocol, "--pid", str(server.pid), "--format", "json"]
        for name, value in options.items():
            flag = "--" + name.replace("_", "-")
            words += [flag] if value is True else [flag, f"{value:.6f}" if isinstance(value, float) else str(value)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: settle(self.cpu, self.priority))

    def run(self, server, **options):
        """Its figures (tidemark-load --format json)."""
        return self.finish(self.start(server, **options), server)

    @staticmethod
    def finish(process, server):
        try:
            out, errors = process.communicate(timeout=RUN_SECONDS_MAX)
        except BaseException as failure:
            process.kill()
            process.wait()
            if isinstance(failure, subprocess.TimeoutExpired):
                raise Failure(f"load on {server.name} had not ended after {RUN_SECONDS_MAX} s") from None
            raise
        if process.returncode != 0:
            raise Failure(f"load on {server.name} failed: {errors.strip()[-500:] or refused(out)}")
        return json.loads(out)

    def fill(self, server, keys, value_bytes, **options):
        return self.run(server, fill=True, keys=keys, value_bytes=value_bytes, connections=8, depth=64, **options)


def refused(out):
    """What the generator says of answers that were errors."""
    try:
        figures = json.loads(out)
        return f"{figures['errors']:,} of {figures['operations']:,} requests were answered with an error"
    except (ValueError, KeyError):
        return out.strip()[-500:]
