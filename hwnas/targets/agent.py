"""The measuring agent: a single file that runs where the runtime runs.

``python agent.py ENGINE.py STATUS`` loads the engine file, then answers JSON lines
on standard input with JSON lines on standard output. It needs the standard library
and whatever the engine imports, not hwnas. Rounds run here, so that the link to
the host is never timed. The file STATUS always names the model in hand, so that it
is known which one it was when the process dies or hangs.

An engine has ``NAME``, ``VERSION`` and ``Session(source, threads, shapes)`` with
``build_ns``, ``time(runs) -> [ns]`` and ``finite() -> bool``; it may have
``clock_ns()`` and ``sleep_ns(ns)``, ``flush()``, which empties the caches,
``LIMIT_MEMORY = False``, ``CALLING_THREAD = True`` where one thread means the one that
calls, and ``conditions(options)``, what it knows beyond the machine's. Where a device has options,
``Session`` gets them as a fourth argument, a dictionary of texts.
"""

import contextlib
import importlib.util
import json
import os
import platform
import sys
import time


def _load_engine(path):
    spec = importlib.util.spec_from_file_location("engine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(path):
    with contextlib.suppress(OSError), open(path) as handle:
        return handle.read().strip()
    return None


def conditions():
    """What is known of the machine; ``None`` for what cannot be read."""
    info = _read("/proc/cpuinfo") or ""
    fields = {}
    for line in info.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    memory = (_read("/proc/meminfo") or "").partition("MemTotal:")[2].split()
    base = "/sys/devices/system/cpu/cpu0/cpufreq/"
    return {
        "cpu": fields.get("model name") or platform.processor() or None,
        "machine": platform.machine(),
        "features": sorted(
            flags & {"avx", "avx2", "fma", "avx512f", "avx512_vnni", "amx_tile", "asimd", "sve"}
        ),
        "cores": os.cpu_count(),
        "memory_mib": int(memory[0]) // 1024 if memory else None,
        "governor": _read(base + "scaling_governor"),
        "frequency_khz": _read(base + "scaling_cur_freq"),
        "temperature_mc": _read("/sys/class/thermal/thermal_zone0/temp"),
        "affinity": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_version(),
    }


class Status:
    """A small file that names the model in hand; writing it takes microseconds, wakes nobody."""

    SIZE = 4096

    def __init__(self, path):
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)

    def write(self, key):
        """Name a model."""
        os.pwrite(self.handle, key.encode()[: self.SIZE - 1].ljust(self.SIZE, b"\n"), 0)


class Caches:
    """Empties the processor's caches by writing through more memory than they hold."""

    def __init__(self, mib):
        self.source = bytes(mib << 20)
        self.target = bytearray(mib << 20)

    def flush(self):
        """Replace what the caches hold."""
        self.target[:] = self.source


def limit_memory(share=0.9):
    """Let a model that eats the memory fail by itself, and be the first to go if it does not."""
    with contextlib.suppress(Exception):
        available = next(
            int(line.split()[1]) << 10
            for line in (_read("/proc/meminfo") or "").splitlines()
            if line.startswith("MemAvailable:")
        )
        limit = int(share * available)
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as handle:
        handle.write("1000")


def end_with_host():
    """Let the system end this process when the host's ends, even while a model hangs (Linux)."""
    with contextlib.suppress(Exception):
        ctypes = importlib.import_module("ctypes")
        signal = importlib.import_module("signal")
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


class Cores:
    """The cores that this process may run on, of which it can choose the quieter.

    Args:
        choose: Whether one is chosen at all; only where a single thread does all the work.
    """

    def __init__(self, choose):
        self.cores = []
        if choose and hasattr(os, "sched_setaffinity"):
            self.cores = sorted(os.sched_getaffinity(0))

    def __len__(self):
        return max(1, len(self.cores))

    def next(self):
        """Go on to the next core in turn."""
        if len(self.cores) > 1:
            self.cores = [*self.cores[1:], self.cores[0]]
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {self.cores[0]})


class Agent:
    """Holds prepared models and runs rounds over them."""

    LONGEST = 5  # segments that a visit to a model longer than one of them takes

    def __init__(self, engine, status):
        self.engine = engine
        self.status = status
        self.sessions = {}
        self.least_ns = {}
        self.inference_ns = 0
        self.clock = getattr(engine, "clock_ns", time.perf_counter_ns)
        self.sleep = getattr(engine, "sleep_ns", lambda ns: time.sleep(ns / 1e9))
        self.cores = None
        self.caches = None

    def run(self, key, runs):
        """Time a model, and count what it takes as inference."""
        samples = self.sessions[key].time(runs)
        self.inference_ns += sum(samples)
        positive = [sample for sample in samples if sample > 0]
        if positive:
            self.least_ns[key] = min(*positive, self.least_ns.get(key, positive[0]))
        return samples

    def hello(self, request):
        """Who and where this is."""
        own = getattr(self.engine, "conditions", lambda options: {})
        return {
            "runtime": self.engine.NAME,
            "version": self.engine.VERSION,
            "pid": os.getpid(),
            "conditions": {**conditions(), **own(request.get("options") or {})},
        }

    def load(self, request):
        """Build a session and run it once: build and first-inference times."""
        self.status.write(request["id"])
        if self.cores is None:
            here = getattr(self.engine, "CALLING_THREAD", False)
            self.cores = Cores(here and request["threads"] == 1)
        arguments = [request["path"], request["threads"], request.get("shapes") or None]
        if request.get("options"):
            arguments.append(request["options"])
        session = self.engine.Session(*arguments)
        self.sessions[request["id"]] = session
        first = self.run(request["id"], 1)[0]
        return {"build_ns": session.build_ns, "first_ns": first, "finite": session.finite()}

    def round(self, request):
        """One visit to each model of ``order``: a burst each, the canary between them.

        A visit that takes longer than a segment is cut into pieces with the canary
        between them; of a model longer than a segment only the first run is dropped, and
        it has fewer runs. Where the canary is slower than ``tolerance`` allows beside its best
        (here, or ``quiet_ns`` if that is known), the round waits for quiet time, at most
        ``patience_ns`` in all.

        Answers ``bursts``: ``[id, samples, segment, visit]`` with the first runs of a
        burst dropped, and ``canary``: the canary's least time before and after each
        segment, in turn, and ``waited_ns``.
        """
        runs, drop, every = request["runs"], request["drop"], request["segment_ns"]
        watch = Watch(self, request)
        bursts, canary = [], [watch.quiet()]
        begin = self.clock()

        def cut():
            """End a segment and begin the next: whether there was a wait between them."""
            nonlocal begin
            canary.append(watch.reading())
            waited = watch.waited_ns
            canary.append(watch.quiet(canary[-1]))
            begin = self.clock()
            return watch.waited_ns > waited

        for visit, key in enumerate(request["order"]):
            self.status.write(key)
            left, skip = runs - drop, drop
            least = max(1, self.least_ns.get(key, 1))
            if every and least > every:
                # It finds nothing in the caches anyway, from its second run on.
                left, skip = max(1, min(left, self.LONGEST * every // least)), min(drop, 1)
            while left > 0:
                piece = min(left, max(1, every // least - skip)) if every else left
                samples = self.run(key, skip + piece)[skip:]
                bursts.append([key, samples, len(canary) // 2, visit])
                left, skip = left - piece, 0
                if self.clock() - begin > every and cut():
                    skip = min(drop, 1) if every and least > every else drop
        canary.append(watch.reading())
        return {
            "bursts": bursts,
            "canary": canary,
            "waited_ns": watch.waited_ns,
            "inference_ns": self.inference_ns,
        }

    def cold(self, request):
        """Single inferences of a model, the caches emptied before each."""
        flush = getattr(self.engine, "flush", None)
        if flush is None:
            self.caches = self.caches or Caches(request["flush_mib"])
            flush = self.caches.flush
        self.status.write(request["id"])
        samples = []
        for _ in range(request["runs"]):
            flush()
            samples += self.run(request["id"], 1)
        return {"samples": samples, "inference_ns": self.inference_ns}

    def window(self, request):
        """Inferences without a pause for a while: how long it was, and each one's time."""
        self.status.write(request["id"])
        begin, samples = self.clock(), []
        while not samples or self.clock() - begin < request["window_ns"]:
            samples += self.run(request["id"], 1)
        return {"wall_ns": self.clock() - begin, "samples": samples}


class Watch:
    """Reads the canary, and waits for the device to be as quick as it was.

    A neighbour on the other half of a core slows everything by a factor for seconds or
    minutes. What is measured meanwhile does not count, so it is better not measured; and
    another core may be quiet.

    Args:
        agent: What runs the canary.
        request: ``canary``, ``runs``, ``drop``, ``tolerance``, ``quiet_ns``, ``patience_ns``.
    """

    PAUSE_NS = 2_000_000

    def __init__(self, agent, request):
        self.agent, self.request = agent, request
        self.patience_ns = request.get("patience_ns", 0)
        self.waited_ns = 0

    def reading(self):
        """The canary's least time now, nanoseconds."""
        request = self.request
        return min(self.agent.run(request["canary"], request["runs"])[request["drop"] :])

    def _slow(self, reading):
        best = self.agent.least_ns.get(self.request["canary"], reading)
        best = min(best, self.request.get("quiet_ns") or best)
        return reading > best * (1 + self.request.get("tolerance", 0.0))

    def quiet(self, reading=None):
        """A reading after which measuring may go on: quiet, unless patience is at its end."""
        agent, begin, tried = self.agent, self.agent.clock(), 0
        measured = agent.inference_ns
        if reading is None:
            reading = self.reading()
        while self._slow(reading) and self.waited_ns + agent.clock() - begin < self.patience_ns:
            if tried >= len(agent.cores):
                tried = 0
                agent.sleep(self.PAUSE_NS)
            agent.cores.next()
            tried += 1
            reading = self.reading()
        if tried:
            self.waited_ns += agent.clock() - begin
            # The canary's runs are waiting, not measuring: patience must not grow by them.
            agent.inference_ns = measured
        return reading


def main():
    """Answer requests until standard input ends."""
    end_with_host()
    # Whatever a runtime prints must not fall between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    engine = _load_engine(sys.argv[1])
    # Engines that reserve address space beyond the memory, as CUDA does, say so.
    if getattr(engine, "LIMIT_MEMORY", True):
        limit_memory()
    agent = Agent(engine, Status(sys.argv[2]))
    actions = {
        "hello": agent.hello,
        "load": agent.load,
        "round": agent.round,
        "cold": agent.cold,
        "window": agent.window,
    }
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": True, **actions[request["do"]](request)}
        except Exception as error:  # whatever the runtime raises goes to the host by name
            answer = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
