#!/usr/bin/env python3
"""A registry with one image, from an OCI layout, on a port of its own: what the Java side is trained with.

    serve_layout.py DIR

Prints the port, then serves DIR as NAME:latest, whatever the name, until it is ended.
"""

import http.server
import json
import pathlib
import sys


def main():
    layout = pathlib.Path(sys.argv[1])
    manifest = json.loads((layout / "index.json").read_text())["manifests"][0]

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            last = self.path.rpartition("/")[2]
            digest = manifest["digest"] if last == "latest" else last
            body = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Type", manifest["mediaType"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
