"""Make the SLUL weights that ship: the best networks of one or more runs, as one small file.

    python tools/export_slul.py runs/gsg_1/best.safetensors runs/gsg_2/best.safetensors \\
        --output src/stable_signer/weights/slul-gsg.safetensors

Several networks of one vocabulary vote when they decode. Weights are stored as int8 with a scale a row.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stable_signer.slul.train import merge


def main() -> None:
    """Merge and save; print the size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kind", choices=("int8", "float16", "float32"), default="int8")
    options = parser.parse_args()
    checkpoint = merge(options.runs)
    checkpoint.save(options.output, options.kind)
    size = options.output.stat().st_size / 1e6
    print(f"{options.output}: {len(checkpoint.members)} networks, {size:.1f} MB")


if __name__ == "__main__":
    main()
