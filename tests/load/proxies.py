"""A trivial upstream, and the proxies that lusk is compared with as a hop to it."""

from harness import Node, Server, Target, binary, free_port

DIRECT = "direct: nginx, trivial answer"
NGINX = "nginx hop"
HAPROXY = "haproxy hop"
LUSK = "lusk hop (--remote)"

UPSTREAM = """
    location / { default_type application/json; return 200 '{}'; }
"""
HOP = """
    location / {
      proxy_pass http://upstream;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
"""


def nginx(folder, name, port, location, upstream=9):
    """An nginx with one worker that does one thing."""
    text = f"""
daemon off; master_process off; pid {folder}/{name}.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-fastcgi;
  uwsgi_temp_path {folder}/{name}-uwsgi; scgi_temp_path {folder}/{name}-scgi;
  upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    {location}
  }}
}}
"""
    config = folder / f"{name}.conf"
    config.write_text(text)
    return Server([binary("nginx"), "-c", config, "-e", "stderr"], folder / f"{name}.log")


def haproxy(folder, port, upstream):
    """A haproxy with one thread that passes everything on."""
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend front
  bind 127.0.0.1:{port} backlog 1024
  default_backend upstream
backend upstream
  server upstream 127.0.0.1:{upstream}
""")
    return Server([binary("haproxy"), "-db", "-f", config], folder / "haproxy.log")


def lusk_hop(options, folder, upstream):
    """A node with one service that is the upstream. Its slots are more than connections."""
    node = Node(options.lusk, folder / "data", folder / "lusk.log", options.up)
    try:
        node.run(
            "model", "deploy", "-n", "hop", "--remote", f"http://127.0.0.1:{upstream}",
            "--auth-enabled", "false", "--rm", 1000, "--mr", 60000,
        )
    except BaseException:
        node.server.stop()
        raise
    return node


def at(row, server, port):
    return Target(row, server, f"http://127.0.0.1:{port}/score", expect="{}")


class Hops:
    """The upstream and one proxy at a time, each started, used and stopped."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.port = free_port()

    def __enter__(self):
        self.upstream = nginx(self.folder, "upstream", self.port, UPSTREAM)
        self.direct = at(DIRECT, self.upstream, self.port)
        self.direct.wait()
        return self

    def __exit__(self, *_):
        self.upstream.stop()

    def each(self, use, order):
        """`use(target)` for the upstream itself and all hops, beginning with another one
        in each round."""
        kinds = [DIRECT, NGINX, HAPROXY, LUSK]
        turn = order % len(kinds)
        results = {}
        for kind in kinds[turn:] + kinds[:turn]:
            folder = self.folder / kind.split()[0].strip(":")
            folder.mkdir()
            if kind == DIRECT:
                results[kind] = use(self.direct)
                continue
            with self.start(kind, folder) as (server, url):
                target = Target(kind, server, url, expect="{}")
                target.wait()
                results[kind] = use(target)
        return results

    def start(self, kind, folder):
        port = free_port()
        url = f"http://127.0.0.1:{port}/score"
        if kind == NGINX:
            return Started(nginx(folder, "hop", port, HOP, self.port), url)
        if kind == HAPROXY:
            return Started(haproxy(folder, port, self.port), url)
        node = lusk_hop(self.options, folder, self.port)
        return Started(node.server, f"{node.scoring}/api/v1/service/hop/score")


class Started:
    """A server and its URL, stopped at the end."""

    def __init__(self, server, url):
        self.server, self.url = server, url

    def __enter__(self):
        return self.server, self.url

    def __exit__(self, *_):
        self.server.stop()
