"""An HTTPS server in the place of a gateway. It answers what lies in a folder, under the path with
its slashes as underscores; for all else it asks the gateway and passes the answer on.

impostor.py PORT CERTIFICATE KEY GATEWAY FOLDER
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, certificate, key, gateway, folder = sys.argv[1:]
anybody = ssl._create_unverified_context()


class Impostor(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        lie = os.path.join(folder, self.path.split("?")[0].replace("/", "_"))
        if os.path.exists(lie):
            with open(lie, "rb") as file:
                self.answer(200, "application/json", file.read())
            return
        asked = urllib.request.Request(gateway + self.path)
        asked.add_header("Accept", self.headers.get("Accept", "*/*"))
        try:
            with urllib.request.urlopen(asked, context=anybody) as answer:
                self.answer(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.headers["Content-Type"], error.read())

    def answer(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(port)), Impostor)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
