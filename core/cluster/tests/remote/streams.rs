//! Bodies in parts, over real sockets.

use std::{task::Poll, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use lusk_contract::{BrokenOff, Flow, NotRelayed, Parts, RelayReply, RelayRequest, Replica};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::yield_now,
};

use super::*;

/// A server whose connections the test serves itself, after the first probe.
struct Bare {
    listener: TcpListener,
    replica: Arc<dyn Replica>,
}

impl Bare {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serves = async {
            // The probe and the question for the schema.
            let mut stream = listener.accept().await.unwrap().0;
            for more in ["", "connection: close\r\n"] {
                read_until(&mut stream, "\r\n\r\n").await;
                let answer = format!("HTTP/1.1 200 OK\r\n{more}content-length: 2\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let (host, revision) = (RemoteHost::new(options()), revision(&[&url], 4));
        let (replica, ()) = tokio::join!(start(&host, &revision, 0), serves);
        Self { listener, replica }
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.unwrap().0
    }
}

/// All that came, once this was among it.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut came = Vec::new();
    while !String::from_utf8_lossy(&came).contains(end) {
        let count = stream.read_buf(&mut came).await.unwrap();
        assert!(count > 0, "closed: {}", String::from_utf8_lossy(&came));
    }
    String::from_utf8(came).unwrap()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

fn upload(
    length: Option<u64>,
) -> (
    RelayRequest,
    mpsc::UnboundedSender<Result<Bytes, BrokenOff>>,
) {
    let (sends, parts) = mpsc::unbounded_channel();
    let parts = stream::unfold(parts, |mut parts| async {
        parts.recv().await.map(|part| (part, parts))
    });
    let body = Flow::Parts {
        length,
        parts: parts.boxed(),
    };
    let asked = RelayRequest {
        body,
        ..request("").into()
    };
    (asked, sends)
}

fn parts(reply: RelayReply) -> Parts {
    match reply.body {
        Flow::Parts { parts, .. } => parts,
        Flow::Whole(whole) => panic!("whole: {whole:?}"),
    }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";

#[tokio::test]
async fn events_come_as_they_are_sent_and_the_connection_is_kept() {
    let bare = Bare::new().await;
    let (mut stream, mut answer) = {
        let relayed = bare.replica.relay(request("1").into());
        let serves = async {
            let mut stream = bare.accept().await;
            read_until(&mut stream, "\r\n\r\n1").await;
            stream.write_all(CHUNKED).await.unwrap();
            stream
        };
        let (relayed, stream) = tokio::join!(relayed, serves);
        (stream, parts(relayed.unwrap()))
    };
    assert_eq!(answer.next().await.unwrap().unwrap(), "one");
    stream.write_all(b"3\r\ntwo\r\n").await.unwrap();
    assert_eq!(answer.next().await.unwrap().unwrap(), "two");
    // Trailers are nobody's.
    stream.write_all(b"0\r\nx-late: 1\r\n\r\n").await.unwrap();
    assert_eq!(answer.next().await, None);
    let again = async {
        read_until(&mut stream, "\r\n\r\n2").await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(answer).await.unwrap();
    };
    let (reply, ()) = tokio::join!(score(&*bare.replica, "2"), again);
    assert_eq!(reply.unwrap().body, "ok");
}

#[tokio::test]
async fn an_upload_goes_on_as_it_comes_and_the_answer_may_come_before_its_end() {
    let bare = Bare::new().await;
    let (asked, sends) = upload(None);
    sends.send(Ok("one".into())).unwrap();
    let serves = async {
        let mut stream = bare.accept().await;
        let came = read_until(&mut stream, "3\r\none\r\n").await;
        assert!(came.contains("transfer-encoding: chunked"), "{came}");
        stream.write_all(CHUNKED).await.unwrap();
        stream
    };
    let (relayed, mut stream) = tokio::join!(bare.replica.relay(asked), serves);
    let mut answer = parts(relayed.unwrap());
    assert_eq!(answer.next().await.unwrap().unwrap(), "one");
    sends.send(Ok("two".into())).unwrap();
    drop(sends);
    let serves = async {
        read_until(&mut stream, "3\r\ntwo\r\n0\r\n\r\n").await;
        stream.write_all(b"0\r\n\r\n").await.unwrap();
    };
    let (end, ()) = tokio::join!(answer.next(), serves);
    assert_eq!(end, None);
}

#[tokio::test]
async fn a_length_is_told_on_both_ways() {
    let server = Upstream::scoring(|asked| {
        assert!(
            asked.head.contains("content-length: 100000\r\n"),
            "{}",
            asked.head
        );
        obey(asked)
    })
    .await;
    let replica = replica(&server).await;
    let (asked, sends) = upload(Some(100_000));
    for _ in 0..10 {
        sends.send(Ok(vec![b'x'; 10_000].into())).unwrap();
    }
    let reply = replica.relay(asked).await.unwrap();
    assert!(matches!(
        &reply.body,
        Flow::Parts {
            length: Some(100_000),
            ..
        }
    ));
    let mut answer = parts(reply);
    let mut came = 0;
    while came < 100_000 {
        came += answer.next().await.unwrap().unwrap().len();
    }
    // Over with the last byte, without a further look: the connection is free.
    assert_eq!(
        score(&*replica, &"x".repeat(100_000))
            .await
            .unwrap()
            .body
            .len(),
        100_000
    );
    assert_eq!(server.seen.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_nobody_wants_any_more_closes_its_connection() {
    let bare = Bare::new().await;
    let serves = async {
        let mut stream = bare.accept().await;
        read_until(&mut stream, "\r\n\r\n1").await;
        stream.write_all(CHUNKED).await.unwrap();
        stream
    };
    let (relayed, mut stream) = tokio::join!(bare.replica.relay(request("1").into()), serves);
    drop(relayed);
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_breaks_the_answer_off() {
    let bare = Bare::new().await;
    let serves = async {
        let mut stream = bare.accept().await;
        read_until(&mut stream, "\r\n\r\n1").await;
        stream.write_all(CHUNKED).await.unwrap();
    };
    let (relayed, ()) = tokio::join!(bare.replica.relay(request("1").into()), serves);
    let mut answer = parts(relayed.unwrap());
    assert_eq!(answer.next().await.unwrap().unwrap(), "one");
    let broken = answer.next().await.unwrap().unwrap_err();
    assert!(broken.to_string().contains("in the middle"), "{broken}");
    assert_eq!(answer.next().await, None);
}

/// A part, some more after a moment, which goes out when `closed` says so.
fn upload_when(closed: std::sync::mpsc::Receiver<()>) -> Parts {
    let mut polls = 0;
    stream::poll_fn(move |context| {
        polls += 1;
        match polls {
            1 => Poll::Ready(Some(Ok("one".into()))),
            2 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            3 => {
                closed.recv().unwrap();
                Poll::Ready(Some(Ok(vec![b'x'; 1 << 20].into())))
            }
            _ => Poll::Ready(None),
        }
    })
    .boxed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_before_the_request_was_taken_reaches_the_caller() {
    let bare = Arc::new(Bare::new().await);
    for round in 0..200 {
        let (closes, closed) = std::sync::mpsc::channel();
        let asked = RelayRequest {
            body: Flow::Parts {
                length: (round % 2 == 0).then_some(3 + (1 << 20)),
                parts: upload_when(closed),
            },
            ..request("").into()
        };
        let server = Arc::clone(&bare);
        let serves = tokio::spawn(async move {
            let mut stream = server.accept().await;
            // What is not read when it is closed resets the connection.
            stream.read_exact(&mut [0; 20]).await.unwrap();
            let answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";
            stream.write_all(answer).await.unwrap();
            drop(stream);
            let _ = closes.send(());
        });
        let relayed = bare.replica.relay(asked).await;
        let reply = relayed.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(reply.status, 413);
        assert!(matches!(reply.body, Flow::Whole(body) if body == "big"));
        serves.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_closes_while_it_is_sent_to_is_not_put_out() {
    let bare = Bare::new().await;
    for _ in 0..6 {
        let (asked, sends) = upload(None);
        sends.send(Ok("one".into())).unwrap();
        let serves = async {
            let mut stream = bare.accept().await;
            read_until(&mut stream, "3\r\none\r\n").await;
        };
        let (relayed, ()) = tokio::join!(bare.replica.relay(asked), serves);
        let error = relayed.unwrap_err().error;
        assert!(
            matches!(&error, ScriptError::Died(why) if why.contains("took all")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_gives_the_request_back() {
    let server =
        Upstream::start(|_| Act::SendAndClose(answer(200, "connection: close\r\n", "{}"))).await;
    let revision = revision(&[&server.url], 1);
    let replica = start(&RemoteHost::new(options()), &revision, 0).await;
    drop(server);
    let (mut asked, sends) = upload(Some(3));
    sends.send(Ok("one".into())).unwrap();
    loop {
        let NotRelayed { error, request } = replica.relay(asked).await.unwrap_err();
        assert!(matches!(error, ScriptError::NotBegun(_)), "{error}");
        let request = request.expect("untouched");
        let Flow::Parts { length, mut parts } = request.body else {
            panic!("it was on its way");
        };
        assert_eq!((length, request.target.as_str()), (Some(3), "/score"));
        // One that nobody listens for is out at once, without five failures.
        if revision.log.tail(10).contains("gets no requests") {
            assert_eq!(parts.next().await.unwrap().unwrap(), "one");
            return;
        }
        asked = RelayRequest {
            body: Flow::Parts { length, parts },
            ..super::request("").into()
        };
    }
}

#[tokio::test]
async fn a_caller_who_breaks_off_is_no_failure_of_the_server() {
    let server = Upstream::scoring(obey).await;
    let replica = replica(&server).await;
    for _ in 0..6 {
        let (asked, sends) = upload(Some(10));
        sends.send(Ok("one".into())).unwrap();
        sends.send(Err(BrokenOff("gone".to_owned()))).unwrap();
        let error = replica.relay(asked).await.unwrap_err().error;
        assert_eq!(error, ScriptError::CutShort("gone".to_owned()));
    }
    assert_eq!(score(&*replica, "1").await.unwrap().body, "1");
}

#[tokio::test]
async fn nobody_reads_faster_than_somebody_takes() {
    let server = Upstream::scoring(|_| Act::Endless("HTTP/1.1 200 OK\r\n\r\n")).await;
    let replica = replica(&server).await;
    let mut answer = parts(replica.relay(request("1").into()).await.unwrap());
    for _ in 0..100 {
        let part = answer.next().await.unwrap().unwrap();
        assert!(part.len() <= 1 << 20, "{}", part.len());
    }
    drop(answer);
    server.seen.gone.notified().await;

    // A server that does not read: what goes into the system's buffers is all.
    let bare = Bare::new().await;
    let (taken, parts) = (
        Arc::new(std::sync::atomic::AtomicUsize::new(0)),
        Bytes::from(vec![b'x'; 1 << 16]),
    );
    let count = Arc::clone(&taken);
    let endless = stream::repeat(()).map(move |()| {
        count.fetch_add(parts.len(), std::sync::atomic::Ordering::Relaxed);
        Ok(parts.clone())
    });
    let asked = RelayRequest {
        body: Flow::Parts {
            length: None,
            parts: endless.boxed(),
        },
        ..request("").into()
    };
    let mut relayed = Box::pin(bare.replica.relay(asked));
    let stream = tokio::select! {
        _ = &mut relayed => panic!("no answer was sent"),
        stream = bare.accept() => stream,
    };
    let (mut before, mut same) = (usize::MAX, 0);
    while same < 1_000 {
        assert!(futures::poll!(&mut relayed).is_pending());
        yield_now().await;
        let now = taken.load(std::sync::atomic::Ordering::Relaxed);
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
    assert!(before < 64 << 20, "{before}");
    drop(stream);
}

#[test]
fn a_runtime_that_ends_takes_its_connections_and_no_others() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (home, shard) = (runtime(), runtime());
    let server = home.block_on(Upstream::scoring(obey));
    let serving = std::thread::scope(|scope| {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let home = &home;
        let thread = scope.spawn(move || home.block_on(stopped));
        let options = RemoteOptions {
            probe_timeout: Duration::from_secs(30),
            ..options()
        };
        let (host, revision) = (RemoteHost::new(options), revision(&[&server.url], 1));
        let other = runtime();
        let replica = other.block_on(start(&host, &revision, 0));
        for _ in 0..3 {
            let reply = shard.block_on(score(&*replica, "1")).unwrap();
            assert_eq!(reply.body, "1");
        }
        let seen = server.seen.connections();
        assert_eq!(seen, 2, "one for each runtime");
        drop(shard);
        for _ in 0..3 {
            let reply = other.block_on(score(&*replica, "1")).unwrap();
            assert_eq!(reply.body, "1");
        }
        stop.send(()).unwrap();
        thread.join().unwrap().unwrap();
        server.seen.connections() - seen
    });
    assert_eq!(serving, 0);
}
