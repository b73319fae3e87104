"""Makes `keras_similarity/datasets/glyphs.npz.xz`, the pictures of `load_glyphs()`.

    python scripts/make_glyphs.py glyphs.npz

The full file holds `images` uint8 `[N, 32, 32]`, `labels` `[N]` (sorted) and
`codepoints`, the Unicode character of each label. What becomes of it:

- CJK ideographs and other characters with fewer than 20 pictures are left out, and
  Latin letters beyond Latin Extended-A, most of which carry two accents.
- A character a quarter of whose pictures are, pixel by pixel, pictures of characters
  before it is left out (Greek Alpha beside Latin A): nobody could tell them apart.
- Of each character at most 32 pictures stay, drawn at random.
- A third of the characters, drawn at random, are the unseen ones.

xz makes the file a fifth smaller than `np.savez_compressed`, without loss.
"""

from __future__ import annotations

import argparse
import io
import lzma
import unicodedata
from pathlib import Path

import numpy as np

SEED = 2026
MIN_PICTURES = 20
MAX_PICTURES = 32
MAX_SHARED = 0.25
UNSEEN_SHARE = 1 / 3
TARGET = Path(__file__).parents[1] / "keras_similarity" / "datasets" / "glyphs.npz.xz"


def is_wanted(codepoint: int, num_pictures: int) -> bool:
    name = unicodedata.name(chr(codepoint), "")
    if num_pictures < MIN_PICTURES or name.startswith("CJK"):
        return False
    return not ("LATIN" in name and codepoint > 0x17F)


def choose_classes(images, rows_of_class, codepoints) -> list[int]:
    """Labels that are wanted and do not look like one before them."""
    chosen, seen = [], set()
    for label, rows in enumerate(rows_of_class):
        if not is_wanted(int(codepoints[label]), len(rows)):
            continue
        pictures = [images[row].tobytes() for row in rows]
        if np.mean([picture in seen for picture in pictures]) < MAX_SHARED:
            chosen.append(label)
            seen.update(pictures)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="the full glyphs.npz")
    full = np.load(parser.parse_args().source)
    images, labels, codepoints = full["images"], full["labels"], full["codepoints"]
    rows_of_class = np.split(np.arange(len(labels)), np.cumsum(np.bincount(labels))[:-1])
    chosen = choose_classes(images, rows_of_class, codepoints)
    rng = np.random.default_rng(SEED)
    rows = [
        np.sort(rng.permutation(rows_of_class[label])[:MAX_PICTURES]) for label in chosen
    ]
    is_unseen = np.zeros(len(chosen), bool)
    is_unseen[rng.permutation(len(chosen))[: round(len(chosen) * UNSEEN_SHARE)]] = True

    content = io.BytesIO()
    np.savez(
        content,
        images=images[np.concatenate(rows)],
        labels=np.repeat(np.arange(len(chosen)), [len(r) for r in rows]).astype("int32"),
        codepoints=codepoints[chosen].astype("int32"),
        is_unseen=is_unseen,
    )
    compression = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}
    packed = lzma.compress(
        content.getvalue(), filters=[{**compression, "dict_size": 1 << 26}]
    )
    TARGET.write_bytes(packed)
    print(
        f"{TARGET.name}: {sum(map(len, rows))} pictures of {len(chosen)} characters, "
        f"{is_unseen.sum()} of them unseen, {len(packed) / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
