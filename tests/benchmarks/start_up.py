"""Compare the duration of `ecgfl --help` with that of an empty Python program.

python tests/benchmarks/start_up.py
"""

import subprocess
import sys
import time

RUNS = 9


def fastest(*arguments: str) -> float:
    """Return the seconds of the fastest run, which other processes affect least."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    empty, shown = fastest("-c", ""), fastest("-m", "ecgfl_cli", "--help")
    print(
        f"ecgfl --help {1000 * shown:.0f} ms, Python alone {1000 * empty:.0f} ms:"
        f" {shown / empty:.1f} times as long"
    )


if __name__ == "__main__":
    main()
