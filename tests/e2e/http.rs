//! A blocking HTTP/1.1 client over plain sockets.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// Longest wait for a part of an answer; a test that gets here has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// A request that is being put together.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// By lower-case name; several values of one name stand joined by `, `.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json")
            .body(body.to_string())
    }

    /// Line and headers, with `Content-Length` when there is a body.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: lusk\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() || self.method != "GET" {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }

    /// All of it, as it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.body].concat()
    }

    /// Sends on a connection of its own and waits for the answer.
    pub fn send(&self, to: SocketAddr) -> Reply {
        self.try_send(to)
            .unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.target))
    }

    pub fn try_send(&self, to: SocketAddr) -> io::Result<Reply> {
        let mut connection = Connection::open(to)?;
        connection.write(self.head().as_bytes())?;
        connection.write(&self.body)?;
        connection.reply(&self.method)
    }
}

/// A connection that says what it is told.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Waits for the answer to a request with this method.
    pub fn reply(&mut self, method: &str) -> io::Result<Reply> {
        let status = self.line()?;
        let status = status
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| io::Error::other(format!("no status in `{status}`")))?;
        let mut headers = BTreeMap::<String, String>::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            let entry = headers.entry(name.to_ascii_lowercase()).or_default();
            if !entry.is_empty() {
                entry.push_str(", ");
            }
            entry.push_str(value);
        }
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        if method != "HEAD" {
            self.read_body(&mut reply)?;
        }
        Ok(reply)
    }

    fn read_body(&mut self, reply: &mut Reply) -> io::Result<()> {
        if reply.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = self.line()?;
                let length = usize::from_str_radix(&length, 16).map_err(io::Error::other)?;
                let mut chunk = vec![0; length];
                self.0.read_exact(&mut chunk)?;
                self.line()?;
                if length == 0 {
                    return Ok(());
                }
                reply.body.extend(chunk);
            }
        }
        let length = reply
            .header("content-length")
            .map_or(0, |text| text.parse().expect("a length"));
        reply.body = vec![0; length];
        self.0.read_exact(&mut reply.body)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// A second handle on the same socket.
    pub fn stream(&self) -> TcpStream {
        self.0.get_ref().try_clone().expect("a handle")
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} `{}`", self.status, self.text()))
    }

    /// The answer, which must have this status.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The sentence of an error of a scoring door, after a look at what all of
    /// them have in common.
    pub fn message(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        assert!(self.header("x-ms-request-id").is_some(), "{self:?}");
        self.json()["message"]
            .as_str()
            .expect("a message")
            .to_owned()
    }
}
