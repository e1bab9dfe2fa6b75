"""Makes map.json: the map of heads and its proofs, written from the rules in src/map.rs alone and
independently of the Rust code. `python3 map.py > map.json`"""

import hashlib
import json

EMPTY = bytes(32)


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def bit(key, at):
    return key[at // 8] >> (7 - at % 8) & 1


def root(entries, depth=0):
    if not entries:
        return EMPTY
    if len(entries) == 1:
        return sha(b"\0", *entries[0])
    halves = [[e for e in entries if bit(e[0], depth) == side] for side in (0, 1)]
    return sha(b"\1", root(halves[0], depth + 1), root(halves[1], depth + 1))


def prove(entries, key):
    siblings = []
    while len(entries) > 1:
        depth = len(siblings)
        siblings.append(root([e for e in entries if bit(e[0], depth) != bit(key, depth)], depth + 1))
        entries = [e for e in entries if bit(e[0], depth) == bit(key, depth)]
    if not entries:
        kind, end = 1, b""
    elif entries[0][0] == key:
        kind, end = 0, entries[0][1]
    else:
        kind, end = 2, b"".join(entries[0])
    depth = len(siblings)
    bits = "".join("0" if s == EMPTY else "1" for s in siblings).ljust((depth + 7) // 8 * 8, "0")
    bitmap = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    present = b"".join(s for s in siblings if s != EMPTY)
    return bytes([1, kind]) + depth.to_bytes(2, "big") + bitmap + present + end


def main():
    keys = [sha(b"key %d" % i) for i in range(60)]
    # Keys that part in the last byte, in the last bit, and late but within a byte.
    keys += [keys[0][:31] + bytes([keys[0][31] ^ 0x80]), keys[1][:31] + bytes([keys[1][31] ^ 1])]
    keys += [keys[2][:17] + bytes([keys[2][17] ^ 4]) + keys[2][18:]]
    entries = sorted((key, sha(b"value", key)) for key in keys)
    absent = [sha(b"nobody %d" % i) for i in range(8)]
    absent += [keys[1][:31] + bytes([keys[1][31] ^ 2]), keys[2][:20] + bytes(12)]
    cases = []
    for count in (0, 1, 2, 3, len(keys)):
        some = sorted((key, sha(b"value", key)) for key in keys[:count])
        asked = keys[:: max(1, len(keys) // 10)] + keys[-3:] + absent
        proofs = [
            {"key": k.hex(), "value": dict(some)[k].hex() if k in dict(some) else None, "proof": prove(some, k).hex()}
            for k in asked
        ]
        cases.append({"entries": [[k.hex(), v.hex()] for k, v in some], "root": root(some).hex(), "proofs": proofs})
    print(json.dumps(cases, indent=1))


main()
