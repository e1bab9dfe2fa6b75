"""Whoever has the token and its PIN: signs what comes on standard input with a key of SoftHSM's, by
its label, and writes the raw signature to standard output.

stolen_token.py MODULE PIN KEY-LABEL MECHANISM
"""

import ctypes
import sys

module, pin, label, mechanism = sys.argv[1:]
CKA_CLASS, CKA_LABEL, CKO_PRIVATE_KEY, CKF_SERIAL_SESSION, CKU_USER = 0, 3, 3, 4, 1
MECHANISMS = {"ECDSA": 0x1041, "EDDSA": 0x1057}
Ulong = ctypes.c_ulong


class Attribute(ctypes.Structure):
    _fields_ = [("type", Ulong), ("value", ctypes.c_void_p), ("length", Ulong)]


class Mechanism(ctypes.Structure):
    _fields_ = [("type", Ulong), ("parameter", ctypes.c_void_p), ("length", Ulong)]


token = ctypes.CDLL(module)


def call(name, *arguments):
    code = getattr(token, name)(*arguments)
    if code != 0:
        sys.exit(f"{name}: {code:#x}")


call("C_Initialize", None)
slots, count = (Ulong * 16)(), Ulong(16)
call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
session = Ulong()
call("C_OpenSession", Ulong(slots[0]), Ulong(CKF_SERIAL_SESSION), None, None, ctypes.byref(session))
call("C_Login", session, Ulong(CKU_USER), pin.encode(), Ulong(len(pin)))
kind, name = Ulong(CKO_PRIVATE_KEY), ctypes.create_string_buffer(label.encode(), len(label))
wanted = (Attribute * 2)(
    Attribute(CKA_CLASS, ctypes.cast(ctypes.byref(kind), ctypes.c_void_p), ctypes.sizeof(kind)),
    Attribute(CKA_LABEL, ctypes.cast(name, ctypes.c_void_p), len(label)),
)
key, found = Ulong(), Ulong()
call("C_FindObjectsInit", session, wanted, Ulong(2))
call("C_FindObjects", session, ctypes.byref(key), Ulong(1), ctypes.byref(found))
call("C_FindObjectsFinal", session)
if found.value != 1:
    sys.exit(f"no key {label}")
data = sys.stdin.buffer.read()
signature, length = ctypes.create_string_buffer(64), Ulong(64)
call("C_SignInit", session, ctypes.byref(Mechanism(MECHANISMS[mechanism], None, 0)), key)
call("C_Sign", session, data, Ulong(len(data)), signature, ctypes.byref(length))
sys.stdout.buffer.write(signature.raw[: length.value])
