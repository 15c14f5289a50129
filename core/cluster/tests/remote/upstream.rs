//! A server that does what it is told, well or badly.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

/// A request as it came in.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Request line and headers.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Asked {
    /// Whether it is the probe.
    pub fn is_probe(&self) -> bool {
        self.head.starts_with("GET / ")
    }

    fn is_document(&self) -> bool {
        self.head.starts_with("GET /swagger.json ")
    }
}

/// What to do about a request.
pub enum Act {
    /// Send these bytes and wait for the next request.
    Send(Vec<u8>),
    /// Send these bytes and close, without having said so.
    SendAndClose(Vec<u8>),
    /// Do nothing until the other end closes.
    Hang,
    /// Send this head, and bytes after it until nobody takes them.
    Endless(&'static str),
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Connections that were made.
    pub connections: AtomicUsize,
    /// Requests, the newest last.
    pub asked: Mutex<Vec<Asked>>,
    /// A request came that is hung on.
    pub hanging: Notify,
    /// Its connection was closed by the other end.
    pub gone: Notify,
    /// A connection was closed by this end.
    pub closed: Notify,
}

impl Seen {
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().cloned().unwrap()
    }
}

/// A running server; everything is closed on drop.
pub struct Upstream {
    pub url: String,
    pub seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

/// What a client of TLS says first; no request begins so.
const TLS_HELLO: u8 = 0x16;

type Script = Arc<dyn Fn(&Asked) -> Act + Send + Sync>;

impl Upstream {
    /// A server that is well but for what `script` does about requests to score.
    pub async fn scoring(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        Self::start(move |asked| {
            if asked.is_probe() {
                Act::Send(answer(200, "", "Healthy"))
            } else if asked.is_document() {
                Act::Send(answer(404, "", ""))
            } else {
                script(asked)
            }
        })
        .await
    }

    /// A server that does with all requests what `script` says.
    pub async fn start(script: impl Fn(&Asked) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Seen::default());
        let (script, shared): (Script, _) = (Arc::new(script), Arc::clone(&seen));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let (script, shared) = (Arc::clone(&script), Arc::clone(&shared));
                connections.spawn(async move { serve(stream, &*script, &shared).await });
            }
        });
        Self {
            url,
            seen,
            _tasks: tasks,
        }
    }
}

/// An answer with these header lines, each ended by `\r\n`.
pub fn answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Whatever\r\n{headers}content-length: {length}\r\n\r\n{body}").into()
}

async fn serve(mut stream: TcpStream, script: &(dyn Fn(&Asked) -> Act + Send + Sync), seen: &Seen) {
    while let Some(asked) = read(&mut stream).await {
        let act = script(&asked);
        seen.asked.lock().unwrap().push(asked);
        match act {
            Act::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::SendAndClose(bytes) => {
                let _ = stream.write_all(&bytes).await;
                drop(stream);
                seen.closed.notify_one();
                return;
            }
            Act::Hang => {
                seen.hanging.notify_one();
                let _ = stream.read(&mut [0]).await;
                seen.gone.notify_one();
                return;
            }
            Act::Endless(head) => {
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&[b'a'; 16 << 10]).await.is_ok() {}
                seen.gone.notify_one();
                return;
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
        if head[0] == TLS_HELLO {
            return None;
        }
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        head,
        body: String::from_utf8(body).unwrap(),
    })
}
