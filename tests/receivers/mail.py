"""A mail server that takes mail only over STARTTLS, and after a login if a password is given. It
prints one JSON line for each mail it has taken.

mail.py PORT CERTIFICATE KEY [USER PASSWORD]
"""

import asyncio
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

# It complains of itself.
logging.disable(logging.WARNING)

port, certificate, key, *login = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)


class Taken:
    async def handle_DATA(self, server, session, envelope):
        line = {
            "sender": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "login": session.auth_data.login.decode() if session.auth_data else None,
            "content": envelope.original_content.decode(),
        }
        print(json.dumps(line), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    wanted = LoginPassword(*(word.encode() for word in login))
    return AuthResult(success=isinstance(data, LoginPassword) and data == wanted, auth_data=data)


async def main():
    options = {"hostname": "localhost", "tls_context": context, "require_starttls": True}
    if login:
        options |= {"authenticator": authenticate, "auth_required": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Taken(), loop=loop, **options), "127.0.0.1", int(port)
    )
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
