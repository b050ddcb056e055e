"""How long `ecgfl --help` takes, beside a Python that does nothing: `python tests/benchmarks/start_up.py`."""

import subprocess
import sys
import time

RUNS = 9


def fastest(*arguments: str) -> float:
    """Seconds of the best run: what other processes cost does not count."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    nothing, shown = fastest("-c", ""), fastest("-m", "ecgfl_cli", "--help")
    print(
        f"ecgfl --help {1000 * shown:.0f} ms, python alone {1000 * nothing:.0f} ms: {shown / nothing:.1f} times as long"
    )


if __name__ == "__main__":
    main()
