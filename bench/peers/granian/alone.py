"""`predict` alone, in process: how many calls a second there are to be had.

Usage: python alone.py MODEL SECONDS, with the rows of one request on standard input as JSON; out goes
`{"per_second": …, "p50_ms": …, "p99_ms": …}`.
"""

import json
import pickle
import sys
import time
from pathlib import Path

import numpy as np


def main(model_file: str, seconds: float) -> None:
    model = pickle.loads(Path(model_file).read_bytes())
    rows = np.asarray(json.load(sys.stdin))
    took = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        model.predict(rows)
        took.append(time.perf_counter() - start)
    took.sort()
    figures = {
        "per_second": len(took) / sum(took),
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[len(took) * 99 // 100] * 1e3,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
