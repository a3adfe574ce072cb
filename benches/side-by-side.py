"""Runs the contestants of side-by-side.sh and prints the table.

usage: side-by-side.py CORPUS RUNS FOLDER_OF_BINARIES [evtx_dump] [evtxexport]

After the table come the figures that do not stand in it: a log that is nothing but events of ours, a
fleet of bundles, memory beside foreign bytes, and what it costs to start.

Wall time and CPU (user + system, with all children) are medians over the runs, in which the fast
contestants take turns; ratios are medians of the ratios within a turn. Peak memory is that of the
largest process. All files are read once before, so that nobody waits for the disk.
"""

import collections
import hashlib
import html
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

DUMP = "evtx_dump -o jsonl -t 1"
OURS = ("Microsoft-Windows-AAD", "Microsoft-Windows-User Device Registration")


class Run:
    def __init__(self, command):
        """Runs a shell command, its output thrown away."""
        with tempfile.NamedTemporaryFile("r") as memory, open(os.devnull, "r+b") as nowhere:
            # `time` starts it: a child of this process would begin with the memory of Python.
            command = ["time", "-q", "-f", "%M", "-o", memory.name, "sh", "-c", command]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdin=nowhere, stdout=nowhere, stderr=nowhere)
            _, status, usage = os.wait4(process.pid, 0)
            self.wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu = usage.ru_utime + usage.ru_stime
            self.memory = int(memory.read()) * 1024
            self.status = process.returncode


def main():
    corpus, runs, binaries = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    peers = sys.argv[4:]
    where = shlex.quote(corpus)
    prtrace, logs = (shlex.quote(f"{binaries}/{name}") for name in ("prtrace", "examples/logs"))
    cores = len(os.sched_getaffinity(0))
    each = f"find {where} -name '*.evtx' -print0 | xargs -0"

    fast = {
        "cat": f"{each} cat",
        "live parts, read only": f"{logs} read-live {where}",
        "prtrace, 1 thread": f"{prtrace} --threads 1 --format json {where}",
        f"prtrace, {cores} threads": f"{prtrace} --threads {cores} --format json {where}",
    }
    slow = {}
    if "evtx_dump" in peers:
        # It takes one log, and starting it for each small one costs as much as reading them.
        slow["evtx_dump, only started"] = f"{each} -n 1 -P {cores} evtx_dump --version"
        slow[f"evtx_dump, {cores} processes"] = f"{each} -n 1 -P {cores} {DUMP}"
    if "evtxexport" in peers:
        slow[f"evtxexport, {cores} processes"] = f"{each} -n 1 -P {cores} evtxexport -f xml"

    # This reads everything, too.
    counts = subprocess.run(f"{fast['cat']} >/dev/null; {logs} read-live {where}", shell=True,
                            check=True, capture_output=True, text=True).stdout
    live, size, files = map(int, counts.split())
    print(f"{files} logs, {size / 2**30:.2f} GiB, {live / size:.0%} of it live; {cores} cores, "
          f"warm cache; medians of {runs} turns, of the last readers one")

    turns = []
    for _ in range(runs):
        turns.append({name: Run(command) for name, command in fast.items()})
    for name, command in slow.items():
        run = Run(command)
        for turn in turns:
            turn[name] = run

    header = ("", "wall s", "CPU s", "peak MiB", "file GB/s", "live GB/s",
              "wall / cat", "CPU / cat", "wall / live")
    print("| " + " | ".join(header) + " |")
    print("| --- |" + " ---: |" * (len(header) - 1))

    def median(of):
        return statistics.median(map(of, turns))

    for name in turns[0]:
        wall = median(lambda turn: turn[name].wall)
        cells = (
            name,
            f"{wall:.2f}",
            f"{median(lambda turn: turn[name].cpu):.2f}",
            f"{median(lambda turn: turn[name].memory) / 2**20:.1f}",
            f"{size / wall / 1e9:.2f}",
            f"{live / wall / 1e9:.2f}",
            f"{median(lambda turn: turn[name].wall / turn['cat'].wall):.2f}",
            f"{median(lambda turn: turn[name].cpu / turn['cat'].cpu):.2f}",
            f"{median(lambda turn: turn[name].wall / turn['live parts, read only'].wall):.2f}",
        )
        print("| " + " | ".join(cells) + " |")
    one, all_threads = list(fast)[2:]
    faster = median(lambda turn: turn[one].wall / turn[all_threads].wall)
    print(f"\n{cores} threads are {faster:.2f} times as fast as one.")
    for name in slow:
        if name.endswith("started"):
            continue
        wall = median(lambda turn: turn[name].wall / turn[all_threads].wall)
        cpu = median(lambda turn: turn[name].cpu / turn[one].cpu)
        print(f"{name}: {cpu:.0f} times the CPU of prtrace with 1 thread, "
              f"{wall:.0f} times the time of prtrace with {cores}.")
    if "evtx_dump" in peers:
        starts, dump = list(slow)[:2]
        net = median(lambda turn: (turn[dump].cpu - turn[starts].cpu) / turn[one].cpu)
        print(f"Without the starts evtx_dump takes {net:.0f} times the CPU of prtrace.")
    figures = [dense(runs, cores, binaries, peers), *more_figures(runs, binaries)]
    print("\n" + "\n".join(figures))
    hits = subprocess.run([f"{binaries}/examples/logs", "hits", corpus], check=True,
                          capture_output=True, text=True).stdout
    distinct = {tuple(line.split("\t")) for line in hits.splitlines()}
    same = [True]
    if "evtx_dump" in peers:
        same.append(compare(corpus, each, cores, binaries, distinct))
    if "evtxexport" in peers:
        same.append(exported(corpus) == distinct)
        print(f"evtxexport found {'the same' if same[-1] else 'OTHER'} distinct ones in one copy.")
    sys.exit(not all(same))


def dense(runs, cores, binaries, peers):
    """A log of 256 MiB with nothing but events of ours, the report on it included."""
    with tempfile.TemporaryDirectory() as folder:
        def made(events):
            log = f"{folder}/{events}.evtx"
            subprocess.run([f"{binaries}/examples/logs", "ours", log, str(events)], check=True)
            return log

        events = 565_000
        log = made(events)
        lines = []
        size = os.path.getsize(log) / 2**20
        for threads in sorted({1, cores}):
            ours = f"{binaries}/prtrace --threads {threads} --format json {log}"
            pairs = [(Run(ours), Run(f"evtx_dump -o jsonl -t {threads} {log}"))
                     for _ in range(3 * runs if "evtx_dump" in peers else 0)]
            if pairs:
                wall, cpu = (statistics.median(getattr(a, of) / getattr(b, of) for a, b in pairs)
                             for of in ("wall", "cpu"))
                lines.append(f"A dense log ({size:.0f} MiB, {events} events), {threads} threads: "
                             f"{wall:.2f} times the time and {cpu:.2f} times the CPU of evtx_dump.")
        fewer, more = events // 10, int(os.environ.get("SIDE_BY_SIDE_EVENTS", events))
        commands = [f"{binaries}/prtrace --threads 1 --format json {made(count)}"
                    for count in (fewer, more)]
        pairs = [[Run(command) for command in commands] for _ in range(runs)]
        each = statistics.median(b.memory - a.memory for a, b in pairs) / (more - fewer)
        cpu = statistics.median(b.cpu / a.cpu for a, b in pairs)
        lines.append(f"Memory per selected event: {each:.0f} bytes; {more / fewer:.1f} times the "
                     f"events, {more}, take {cpu:.1f} times the CPU.")
        return "\n".join(lines)


def more_figures(runs, binaries):
    prtrace, logs = f"{binaries}/prtrace", f"{binaries}/examples/logs"
    with tempfile.TemporaryDirectory() as folder:
        taken = {}
        for machines in (200, 2000):
            subprocess.run([logs, "fleet", f"{folder}/{machines}", str(machines)], check=True)
            command = f"{prtrace} --format jsonl {folder}/{machines}"
            taken[machines] = [Run(command) for _ in range(runs)]
        cpu = statistics.median(b.cpu / a.cpu for a, b in zip(taken[200], taken[2000]))
        memory = statistics.median(b.memory - a.memory for a, b in zip(taken[200], taken[2000]))
        yield (f"2,000 bundles take {cpu:.1f} times the CPU of 200, and {memory / 1.8 / 2**20:.1f} "
               "MiB of memory for every 1,000 machines.")

        # 100 logs of 1 MiB, and a hundred names for each of them.
        os.mkdir(f"{folder}/foreign")
        subprocess.run([logs, "foreign", f"{folder}/foreign/0.evtx", "2200"], check=True)
        for number in range(1, 100):
            shutil.copy(f"{folder}/foreign/0.evtx", f"{folder}/foreign/{number}.evtx")
        for copy in range(100):
            shutil.copytree(f"{folder}/foreign", f"{folder}/many/{copy}", copy_function=os.link)
        size = sum(entry.stat().st_size for entry in os.scandir(f"{folder}/foreign"))
        few, many = (statistics.median(Run(f"{prtrace} {folder}/{name}").memory
                                       for _ in range(runs)) for name in ("foreign", "many"))
        yield (f"Peak memory over {size / 2**20:.0f} MiB of foreign logs: {few / 2**20:.1f} MiB, "
               f"over {100 * size / 2**30:.1f} GiB: {many / few:.2f} times that.")

        subprocess.run([logs, "ours", f"{folder}/small.evtx", "10"], check=True)
        starts = [Run(f"exec {prtrace} {folder}/small.evtx") for _ in range(20)]
        cpu = statistics.median(run.cpu for run in starts)
        yield f"One small log, start to end: {cpu * 1000:.1f} ms of CPU, the shell's included."


def compare(corpus, each, cores, binaries, distinct):
    """What evtx_dump finds of our providers, record for record, against what prtrace finds."""
    # Lines of several processes at once must not mix: each writes a file.
    with tempfile.TemporaryDirectory() as folder:
        one = (f"{DUMP} \"$1\" | "
               f"grep -F -e '{OURS[0]}' -e '{OURS[1]}' > {folder}/$$; "
               f"mv {folder}/$$ {folder}/$(printf %s \"$1\" | md5sum | cut -c-32)")
        subprocess.run(f"{each} -n 1 -P {cores} sh -c {shlex.quote(one)} sh",
                       shell=True, check=True, stderr=subprocess.DEVNULL)
        theirs = {}
        paths = subprocess.run(["find", corpus, "-name", "*.evtx"], check=True,
                               capture_output=True, text=True).stdout.splitlines()
        for path in paths:
            name = hashlib.md5(path.encode()).hexdigest()
            with open(f"{folder}/{name}", encoding="utf-8") as lines:
                found = [hit for hit in map(hit_of, lines) if hit]
            if found:
                theirs[path] = found
    report = subprocess.run([f"{binaries}/prtrace", "--format", "json", corpus],
                            capture_output=True, check=False).stdout
    report = json.loads(report)
    ours = collections.Counter()
    for machine in report["machines"]:
        for log in machine["logs"]:
            ours[log["path"]] += log["events"]
    their_distinct = {hit for found in theirs.values() for hit in found}
    their_counts = {path: len(found) for path, found in theirs.items()}
    totals = report["totals"]
    total = totals["events"] + totals["duplicates"]
    print(f"\nRecords of our providers: evtx_dump {sum(their_counts.values())} in "
          f"{len(theirs)} logs, prtrace {total} in {len(ours)}.")
    print(f"Distinct: evtx_dump {len(their_distinct)}, prtrace {len(distinct)}, "
          f"in both {len(their_distinct & distinct)}.")
    for path in sorted(set(ours) | set(their_counts)):
        if ours[path] != their_counts.get(path, 0):
            print(f"{path}: evtx_dump {their_counts.get(path, 0)}, prtrace {ours[path]}")
    same = total == sum(their_counts.values()) and distinct == their_distinct
    same = same and dict(ours) == their_counts
    print("Both found the same." if same else "They DIFFER.")
    return same


def exported(corpus):
    """The distinct records of our providers that evtxexport finds, in the first copy of the logs."""
    tags = " ".join(f"-e '<{tag}'" for tag in ("Provider Name=", "Event", "Channel>", "Computer>"))
    command = (f"find {shlex.quote(corpus)}/1 -name '*.evtx' -exec evtxexport -f xml {{}} ';' "
               f"2>/dev/null | grep -F {tags}")
    # The provider comes first and the computer last.
    field = re.compile(r'\s*<(?:Provider Name="([^"]*)"'
                       r"|(EventID|EventRecordID|Channel|Computer)>([^<]*)<)")
    found, record = set(), {}
    with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, text=True,
                          errors="replace") as process:
        for line in process.stdout:
            if not (match := field.match(line)):
                continue
            provider, name, value = match.groups()
            if provider is not None:
                record = {"Provider": html.unescape(provider)}
            else:
                record[name] = html.unescape(value)
            if name == "Computer" and record.get("Provider") in OURS:
                names = ("Computer", "Channel", "EventRecordID", "EventID")
                found.add(tuple(record.get(name, "") for name in names))
    return found


def hit_of(line):
    system = json.loads(line)["Event"]["System"]
    if system["Provider"]["#attributes"].get("Name") not in OURS:
        return None
    event_id = system["EventID"]
    if isinstance(event_id, dict):
        event_id = event_id["#text"]
    fields = (system["Computer"], system["Channel"], system["EventRecordID"], event_id)
    return tuple(map(str, fields))


main()
