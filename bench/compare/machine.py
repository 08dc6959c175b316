"""The machine that was measured on, and which of its CPUs do what."""
import os
import pathlib
import platform


def describe():
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name")), platform.processor())
    memory = next(int(line.split()[1]) for line in pathlib.Path("/proc/meminfo").read_text(encoding="utf-8").splitlines() if line.startswith("MemTotal"))
    return {"cpu": model, "cores": os.cpu_count(), "is_virtual": "hypervisor" in cpuinfo, "kernel": platform.release(), "system": system_name(),
            "memory_bytes": memory << 10, "huge_pages": setting("/sys/kernel/mm/transparent_hugepage/enabled").split("[")[-1].split("]")[0],
            "congestion_control": setting("/proc/sys/net/ipv4/tcp_congestion_control")}


def setting(path):
    file = pathlib.Path(path)
    return file.read_text(encoding="utf-8").strip() if file.exists() else "unknown"


def system_name():
    lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if pathlib.Path("/etc/os-release").exists() else []
    return next((line.split("=", 1)[1].strip('"') for line in lines if line.startswith("PRETTY_NAME=")), platform.system())


def text(described):
    kind = "virtual machine" if described["is_virtual"] else "machine"
    return (f"{described['cpu']}, {described['cores']} cores ({kind}), {described['memory_bytes'] / (1 << 30):.0f} GiB, {described['system']}, "
            f"Linux {described['kernel']}, transparent huge pages {described['huge_pages']}, TCP {described['congestion_control']}")


def load_average():
    return os.getloadavg()[0]


def cpus():
    """(of the servers, of the generator); the same one if there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]
