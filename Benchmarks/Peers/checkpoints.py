"""Size and speed of ZipNN and pcodec on the states that checkpoint-bench measures, one thread.

    pip install zipnn pcodec numpy xxhash
    python checkpoints.py FOLDER PARENT.safetensors [STATE.safetensors ...]

Speeds in MB/s are given in memory, and as checkpoint-bench has them: with a file in FOLDER, written beside and renamed,
and XXH3 digests of the state and of the encoded bytes, made and checked.

Neither stores differences itself: ZipNN is given the exclusive or with the parent, pcodec the integer difference of
order-preserving integers. Making and undoing these is not in the times.
"""
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np
import xxhash
from pcodec import ChunkConfig, standalone
from zipnn import ZipNN


def load(path):
    data = Path(path).read_bytes()
    header = struct.unpack("<Q", data[:8])[0]
    return np.frombuffer(data[8 + header :], dtype=np.uint32)


def ordered(bits):
    signed = bits.view(np.int32)
    return np.where(signed < 0, signed ^ 0x7FFFFFFF, signed)


def timed(body, attempts=21):
    least = float("inf")
    for _ in range(attempts):
        start = time.perf_counter()
        result = body()
        least = min(least, time.perf_counter() - start)
    return result, least


def measure(stored, codec, data, compress, decompress):
    """data: the floats' bytes. compress and decompress: between them and the encoded bytes, without arguments kept."""
    path = os.path.join(FOLDER, "checkpoints-py.ckpt")

    def write():
        packed = compress()
        digests = xxhash.xxh3_128_digest(data) + xxhash.xxh3_128_digest(packed)
        with open(path + ".partial", "wb") as file:
            file.write(digests)
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".partial", path)

    def read():
        with open(path, "rb") as file:
            digests, packed = file.read(32), file.read()
        assert digests[16:] == xxhash.xxh3_128_digest(packed)
        unpacked = decompress(packed)
        assert digests[:16] == xxhash.xxh3_128_digest(unpacked)

    packed, encode = timed(compress)
    _, decode = timed(lambda: decompress(packed))
    _, encode_file = timed(write)
    _, decode_file = timed(read)
    os.remove(path)
    speeds = " | ".join(f"{len(data) / t / 1e6:.0f}" for t in (encode, decode, encode_file, decode_file))
    print(f"| {stored} | {codec} | {len(packed) / len(data):.4f} | {speeds} |", flush=True)


def zipnn(stored, bits):
    data = bits.tobytes()
    codec = ZipNN(bytearray_dtype="float32", threads=1, input_format="byte")
    # It may write into its input: the copy costs it a little.
    measure(stored, "ZipNN", data, lambda: codec.compress(bytearray(data)), codec.decompress)


def pcodec(stored, numbers, level):
    config = ChunkConfig(compression_level=level)
    measure(
        stored, f"pcodec, level {level}", numbers.tobytes(),
        lambda: standalone.simple_compress(numbers, config), lambda packed: standalone.simple_decompress(packed).data)


def main():
    print("| stored | codec | bytes / raw | encode | decode | encode, file | decode, file |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    parent = load(PARENT)
    alone = f"{Path(PARENT).stem} alone"
    zipnn(alone, parent)
    for level in (8, 12):
        pcodec(alone, parent.view(np.float32), level)
    for path in STATES:
        state = load(path)
        stored = f"{Path(path).stem} from {Path(PARENT).stem}"
        zipnn(stored, state ^ parent)
        for level in (8, 12):
            pcodec(stored, ordered(state) - ordered(parent), level)


if len(sys.argv) < 3:
    sys.exit(__doc__)
FOLDER, PARENT, *STATES = sys.argv[1:]
main()
