"""An HTTPS receiver of webhooks. It checks nothing: it prints one JSON line for each call, and
answers with the status that it was given.

hook.py PORT CERTIFICATE KEY STATUS
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

port, certificate, key, status = sys.argv[1:]


class Taken(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        line = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "content": body.decode(),
        }
        print(json.dumps(line), flush=True)
        self.send_response(int(status))
        if status.startswith("3"):
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", int(port)), Taken)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
