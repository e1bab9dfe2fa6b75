"""What schemathesis does not know by itself."""

import schemathesis


@schemathesis.serializer("application/pkcs10")
def pkcs10(ctx, value):
    """A certification request is sent as it is: PEM text, DER, or whatever was made up instead."""
    if isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogatepass")
