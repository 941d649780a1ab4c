#!/usr/bin/env python3
"""Medians and ratios of what scripts/bench_vs_pytorch.sh has measured.

  compare.py LINES OUTPUT.json THREADS    LINES: one JSON object a measurement {side, network, turn, result}
"""
import datetime
import json
import statistics
import subprocess
import sys


def command_text(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()


def cpu_name():
    with open("/proc/cpuinfo") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return names[0] if names else "unknown"


def entries(line):
    """(key, seconds of each turn's median, peak bytes, extra) of a measurement."""
    result, network = line["result"], line["network"]
    if "first_score_seconds" in result:
        yield (network, "startup", "f32", 1), result["first_score_seconds"], result["peak_bytes"], result
    elif line["side"] == "torch":
        key = (network, result["mode"], result["precision"], result["batch"])
        yield key, statistics.median(result["seconds"]), result["peak_bytes"], {}
    else:
        for run in result.get("runs", []):
            key = (network, run["mode"], run["precision"], run["batch"])
            yield key, run["step_seconds"]["median"], run["bytes"]["peak_resident"], run


def main():
    path, output, threads = sys.argv[1:]
    with open(path) as f:
        lines = [json.loads(line) for line in f if line.strip()]
    cells, torch_version = {}, "unknown"
    for line in lines:
        torch_version = line["result"].get("torch", torch_version)
        for key, seconds, peak, extra in entries(line):
            cell = cells.setdefault(key, {}).setdefault(line["side"], dict(seconds=[], peak=[], of_peak=[]))
            cell["seconds"].append(seconds)
            cell["peak"].append(peak)
            if "percent_of_product" in extra:
                cell["of_peak"].append(extra["percent_of_product"])
    version = command_text("build/release/ecgfm", "--version").split("\n")
    head = dict(
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=cpu_name(), threads=int(threads), ecgfm=version[0], kernels=" ".join(version[1:]),
        torch=torch_version, revision=command_text("git", "rev-parse", "--short", "HEAD"),
    )
    rows = []
    for (network, mode, precision, batch), sides in cells.items():
        row = dict(network=network, mode=mode, precision=precision, batch=batch)
        for side, cell in sides.items():
            seconds = statistics.median(cell["seconds"])
            row[side] = dict(
                seconds=seconds, records_per_second=batch / seconds, turns=cell["seconds"],
                peak_bytes=max(cell["peak"]),
                percent_of_product=statistics.median(cell["of_peak"]) if cell["of_peak"] else None,
            )
        rows.append(row)
    by_key = {(r["network"], r["mode"], r["precision"], r["batch"]): r for r in rows}
    for row in rows:
        same = row.get("torch")
        f32 = by_key.get((row["network"], row["mode"], "f32", row["batch"]), {}).get("torch")
        mine = row.get("ecgfm")
        row["ratio"] = same["seconds"] / mine["seconds"] if same and mine else None
        row["ratio_to_f32"] = f32["seconds"] / mine["seconds"] if f32 and mine else None
        row["memory_ratio"] = mine["peak_bytes"] / same["peak_bytes"] if same and mine else None
    with open(output, "w") as f:
        json.dump(dict(head, rows=rows, versions=[
            r["result"]["version_seconds"] for r in lines if "version_seconds" in r["result"]
        ]), f, indent=1)

    print(f"{head['date']}, {head['cpu']}, {threads} threads\n{head['ecgfm']} ({head['revision']}), "
          f"{head['kernels']}\ntorch {torch_version}; medians of {max(r['turn'] for r in lines)} turns\n")
    print("| network | mode | precision | batch | PyTorch records/s | ecgfm records/s | ratio | ratio to "
          "its f32 | of peak | peak MiB, PyTorch | ecgfm | ratio |")
    print("|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")

    def number(x, form):
        return "" if x is None else format(x, form)

    for row in rows:
        mine, same = row.get("ecgfm") or {}, row.get("torch") or {}
        if row["mode"] == "startup":
            continue
        memory = [side["peak_bytes"] / 2**20 if side else None for side in (same, mine)]
        print("|", " | ".join([
            row["network"], row["mode"], row["precision"], str(row["batch"]),
            number(same.get("records_per_second"), ".2f"), number(mine.get("records_per_second"), ".2f"),
            number(row["ratio"], ".2f"), number(row["ratio_to_f32"], ".2f"),
            number(mine.get("percent_of_product"), ".0f"), number(memory[0], ".0f"),
            number(memory[1], ".0f"), number(row["memory_ratio"], ".2f"),
        ]), "|")
    print()
    for row in rows:
        if row["mode"] == "startup":
            print(f"start to first score, {row['network']}: PyTorch {row['torch']['seconds']:.2f} s, "
                  f"{row['torch']['peak_bytes'] / 2**20:.0f} MiB; ecgfm {row['ecgfm']['seconds'] * 1e3:.0f} ms, "
                  f"{row['ecgfm']['peak_bytes'] / 2**20:.0f} MiB")
    starts = [r["result"]["version_seconds"] for r in lines if "version_seconds" in r["result"]]
    if starts:
        print(f"ecgfm --version: {statistics.median(starts) * 1e3:.1f} ms")


main()
