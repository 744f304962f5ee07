"""A mail server: takes mail from whoever knows its password, over STARTTLS only, and puts each into a file of a folder.

server.py PORT FOLDER CERTIFICATE KEY USER PASSWORD
"""

import asyncio
import itertools
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, folder, certificate, key, user, password = sys.argv[1:]
numbers = itertools.count()


class Keep:
    async def handle_DATA(self, server, session, envelope):
        name = f"{next(numbers):04}"
        to = ",".join(envelope.rcpt_tos)
        head = f"X-Taken: tls={session.ssl is not None} auth={session.authenticated} to={to}\r\n"
        written = pathlib.Path(folder, f"{name}.new")
        written.write_bytes(head.encode() + envelope.content)
        written.rename(pathlib.Path(folder, f"{name}.eml"))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=right)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def protocol():
        return SMTP(
            Keep(),
            hostname="mail.test",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=authenticate,
        )

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", int(port))
    print("listening", flush=True)
    await server.serve_forever()


asyncio.run(main())
