#!/usr/bin/env python3
"""Makes Sources/Datasets/Resources/digits.bin.gz from the UCI digits.

usage: make-digits.py SOURCE TARGET

SOURCE is `optdigits.tes` of "Optical Recognition of Handwritten Digits" (https://doi.org/10.24432/C50P49), or a file of
the same layout, gzip-compressed or not: a line an image, 64 pixels of 0 to 16 and the digit, separated by commas.

TARGET holds the same rows in the same order, 65 bytes each: 64 pixels row by row, then the digit. It depends on SOURCE
and on zlib's version alone: the gzip header carries neither time nor name.
"""

import gzip
import sys

PIXELS = 64
BRIGHTEST = 16
ROWS = 1797


def read_rows(path):
    open_text = gzip.open if path.endswith(".gz") else open
    with open_text(path, "rt", encoding="ascii") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            values = [float(cell) for cell in line.split(",")]
            valid = (
                len(values) == PIXELS + 1
                and all(value.is_integer() for value in values)
                and all(0 <= pixel <= BRIGHTEST for pixel in values[:PIXELS])
                and 0 <= values[PIXELS] <= 9
            )
            if not valid:
                sys.exit(f"{path}:{number}: not 64 pixels of 0 to 16 and a digit")
            yield bytes(int(value) for value in values)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    rows = list(read_rows(source))
    if len(rows) != ROWS:
        sys.exit(f"{source}: {len(rows)} images, not {ROWS}")
    with open(target, "wb") as file:
        file.write(gzip.compress(b"".join(rows), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
