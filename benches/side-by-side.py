"""Runs the contestants of side-by-side.sh and prints the table.

usage: side-by-side.py CORPUS RUNS FOLDER_OF_BINARIES [evtx_dump] [evtxexport]

Wall time and CPU (user + system, with all children) are medians over the runs, in which the fast
contestants take turns; ratios are medians of the ratios within a turn. Peak memory is that of the
largest process. All files are read once before, so that nobody waits for the disk.
"""

import collections
import hashlib
import json
import os
import shlex
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
        compare(corpus, each, cores, binaries)


def compare(corpus, each, cores, binaries):
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
    hits = subprocess.run([f"{binaries}/examples/logs", "hits", corpus], check=True,
                          capture_output=True, text=True).stdout
    distinct = {tuple(line.split("\t")) for line in hits.splitlines()}

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
    sys.exit(not same)


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
